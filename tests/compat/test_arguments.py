"""Arguments of FunASR's calls: heeded, ignored with a warning, or refused by name; none is forgotten."""

from __future__ import annotations

import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from overtone.compat import AutoModel, IgnoredArgumentWarning, arguments, emotion, recognition, speaker, streaming, vad
from overtone.compat.arguments import Arguments
from overtone.compat.auxiliary import AUXILIARY
from overtone.compat.devices import usable_device
from overtone.compat.models import find_model
from overtone.errors import DeviceError, DownloadError, UsageError
from overtone.models import checkpoints, hub
from overtone.models.emotion2vec import random_checkpoint
from overtone.system import devices

HEEDED = {
    *inspect.signature(AutoModel).parameters,
    *inspect.signature(AutoModel.generate).parameters,
    *AUXILIARY,
    *(*recognition._CALL, *emotion._KNOWN, *speaker._KNOWN, *streaming._KNOWN),
    *(*vad.PER_CALL, *vad._SETTLED, "is_streaming_input", "spk_mode", "model_path"),
}
KNOWN = HEEDED | arguments._IGNORED | arguments._REFUSED | set(arguments._MET)

INTERNAL = {"input_size", "max_seq_len", "kwargs", "return_waveform", "text", "wav", "split", "source", "key"}
"""What FunASR puts there itself, and what only its training and its export read."""


def read_by(source: str) -> set[str]:
    return set(re.findall(r"(?:kwargs|cfg)(?:\.get\(|\.setdefault\(|\[)\s*\"(\w+)\"", source))


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_every_argument_that_funasr_reads_has_its_place() -> None:
    pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")
    from funasr.auto import auto_model
    from funasr.download import download_model_from_hub
    from funasr.models.bicif_paraformer.model import BiCifParaformer
    from funasr.models.campplus.model import CAMPPlus
    from funasr.models.ct_transformer.model import CTTransformer
    from funasr.models.emotion2vec.model import Emotion2vec
    from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming
    from funasr.models.paraformer.model import Paraformer
    from funasr.models.paraformer_streaming.model import ParaformerStreaming
    from funasr.models.seaco_paraformer.model import SeacoParaformer
    from funasr.models.sense_voice.model import SenseVoiceSmall
    from funasr.utils import load_utils, postprocess_hotwords

    networks = (BiCifParaformer, CAMPPlus, CTTransformer, Emotion2vec, FsmnVADStreaming, Paraformer)
    networks = (*networks, ParaformerStreaming, SeacoParaformer, SenseVoiceSmall)
    read = {name for network in networks for name in read_by(inspect.getsource(network.inference))}
    for module in (auto_model, download_model_from_hub, postprocess_hotwords):
        read |= read_by(inspect.getsource(module))
    assert {"vad_model_revision", "ban_emo_unk", "hotword", "granularity", "ngpu", "init_param"} <= read
    assert "audio_fs" in inspect.signature(load_utils.load_audio_text_image_video).parameters
    assert read - KNOWN - INTERNAL == set()


def test_an_argument_has_one_place() -> None:
    assert set() == arguments._IGNORED & arguments._REFUSED
    assert arguments._IGNORED & set(arguments._MET) == set()
    assert arguments._REFUSED & set(arguments._MET) == {"data_type"}  # some values are met, others refused


@pytest.fixture
def given() -> Arguments:
    return Arguments()


@pytest.mark.parametrize("name", sorted(arguments._IGNORED))
def test_what_funasr_ignores_is_warned_of_once(given: Arguments, name: str) -> None:
    with pytest.warns(IgnoredArgumentWarning, match=rf"generate\({name}=…\) has no effect") as caught:
        assert given.heeded({name: "x"}, "generate", ("x",)) == {}
    given.heeded({name: "y"}, "generate", ("x",))  # warnings are errors here
    assert caught[0].filename == __file__
    assert given.heeded({name: "x"}, "generate", (name,)) == {name: "x"}


@pytest.mark.parametrize("name", sorted(arguments._REFUSED | arguments._IGNORED))
@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_what_asks_for_nothing_is_neither_warned_of_nor_refused(given: Arguments, name: str, value: Any) -> None:
    assert given.heeded({name: value}, "generate") == {}


@pytest.mark.parametrize("name", sorted(arguments._REFUSED))
def test_what_would_change_an_answer_is_refused_by_name(given: Arguments, name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}=.* is not done here"):
        given.heeded({name: "x"}, "AutoModel")


@pytest.mark.parametrize("name", ["model_code", "zzz", "n", "spelled_wrong", "ASR"])
def test_what_funasr_does_not_know_is_ignored_as_there(given: Arguments, name: str) -> None:
    with pytest.warns(IgnoredArgumentWarning, match=name):
        given.heeded({name: None}, "AutoModel")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("langauge", "language"),
        ("granularty", "granularity"),
        ("vda_model", "vad_model"),
        ("max_single_segment_tme", "max_single_segment_time"),
        ("batchsize_s", "batch_size_s"),
    ],
)
def test_a_slip_is_refused_with_what_was_meant(given: Arguments, name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"no argument '{name}'; '{meant}' is one"):
        given.heeded({name: False}, "generate", ("granularity", "max_single_segment_time"))


def test_a_setting_of_the_model_is_refused_unless_it_is_the_models(given: Arguments, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: X\nmodel_conf: {ctc_weight: 0.5}\nspecaug: S\n", encoding="utf-8")
    (tmp_path / "model.pt").write_bytes(b"")
    found = checkpoints.read(tmp_path, name="c")
    assert given.heeded({"ctc_weight": 0.5, "specaug": "S"}, "AutoModel", checkpoint=found) == {}
    for wrong in ({"ctc_weight": 0.3}, {"specaug": "T"}):
        with pytest.raises(UsageError, match=r"as its config\.yaml has it"):
            given.heeded(wrong, "AutoModel", checkpoint=found)


def test_a_script_may_take_warnings_for_errors(tmp_path: Path) -> None:
    folder = str(random_checkpoint.write(tmp_path / "c", labels=random_checkpoint.LABELS))
    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredArgumentWarning)
        with pytest.raises(IgnoredArgumentWarning, match="cache_dir"):
            AutoModel(model=folder, cache_dir="models")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3", "mps", "xpu:0", "npu:0"])
def test_a_device_of_a_kind_that_is_not_there_is_the_cpu(
    given: Arguments, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(devices, "_may_have_cuda", lambda: False)
    monkeypatch.setattr(devices, "_cuda_devices", lambda: 0)
    with pytest.warns(IgnoredArgumentWarning, match=r"AutoModel\(device='.*It runs on the CPU"):
        assert usable_device(device, given, "AutoModel") == "cpu"
    assert usable_device(device, given, "AutoModel") == "cpu"


def test_a_device_that_is_there_is_taken_and_a_wrong_one_refused(
    given: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_may_have_cuda", lambda: True)
    monkeypatch.setattr(devices, "_cuda_devices", lambda: 1)
    named = {None: None, "cpu": "cpu", "cuda": "cuda:0", "cuda:0": "cuda:0"}
    assert {device: usable_device(device, given, "AutoModel") for device in named} == named
    for wrong in ("cuda:3", "gpu", "cuda:x"):
        with pytest.raises(DeviceError):
            usable_device(wrong, given, "AutoModel")
    with pytest.raises(UsageError, match="a text is meant"):
        usable_device(0, given, "AutoModel")


class Hub:
    """A hub with one folder, in some revisions."""

    def __init__(self, folder: Path, *revisions: str | None) -> None:
        self.folder, self.revisions = folder, revisions
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, repo: str, revision: str | None = None, **_: Any) -> str:
        self.asked.append((repo, revision))
        if revision not in self.revisions:
            raise RuntimeError(f"404: {revision} is not there")
        return str(self.folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("model: X\n", encoding="utf-8")
    (tmp_path / "model.pt").write_bytes(b"")
    return tmp_path


def test_a_revision_is_fetched_where_the_hub_has_it(
    given: Arguments, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Hub(folder, "v2.0.4")
    monkeypatch.setattr(hub, "_modelscope_client", lambda: there)
    find_model("fsmn-vad", "ms", "v2.0.4", given)
    assert there.asked == [("iic/speech_fsmn_vad_zh-cn-16k-common-pytorch", "v2.0.4")] * 2


def test_a_revision_that_is_not_to_be_had_is_the_newest_with_a_warning(
    given: Arguments, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Hub(folder, None)
    monkeypatch.setattr(hub, "_hugging_face_client", lambda: there)
    with pytest.warns(IgnoredArgumentWarning, match=r"vad_model_revision='v2.0.4' of fsmn-vad cannot be had .*404"):
        assert find_model("fsmn-vad", "hf", "v2.0.4", given, "vad_model_revision").folder == folder
    for newest in (None, "master", "main", ""):
        find_model("fsmn-vad", "hf", newest, given)
    assert there.asked[-1] == ("funasr/fsmn-vad", None)
    monkeypatch.setattr(hub, "_hugging_face_client", lambda: Hub(folder))
    with pytest.raises(DownloadError):
        find_model("fsmn-vad", "hf", "v2.0.4", given)


def test_a_folder_is_what_it_is_in_any_revision(given: Arguments, folder: Path) -> None:
    assert find_model(str(folder), "hf", "v2.0.4", given).folder == folder


@pytest.mark.parametrize(
    ("name", "at", "repo"),
    [
        ("ct-punc-c", "ms", "iic/punc_ct-transformer_zh-cn-common-vocab272727-pytorch"),
        ("paraformer", "ms", "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch"),
        ("paraformer", "hf", "funasr/paraformer-zh"),
        ("paraformer-en-spk", "hf", "funasr/paraformer-en"),
        ("damo/emotion2vec_base", "hf", "emotion2vec/emotion2vec_base"),
        ("damo/speech_fsmn_vad_zh-cn-16k-common-pytorch", "ms", "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch"),
        ("emotion2vec_plus_large", "hf", "emotion2vec/emotion2vec_plus_large"),
        ("someone/else", "hf", "someone/else"),
    ],
)
def test_models_have_funasrs_names(
    given: Arguments, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: Any, repo: str
) -> None:
    there = Hub(folder, None)
    for client in ("_hugging_face_client", "_modelscope_client"):
        monkeypatch.setattr(hub, client, lambda: there)
    find_model(name, at, None, given)
    assert there.asked[0][0] == repo


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_every_short_name_of_funasrs_is_a_model_here_or_of_another_kind() -> None:
    pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")
    from funasr.download.name_maps_from_hub import name_maps_hf, name_maps_ms

    others = {"fa-zh", "Qwen-Audio"} | {name for name in name_maps_ms if name.startswith("Whisper")}
    for at, names in (("hf", name_maps_hf), ("ms", name_maps_ms)):
        for name in {*names} - others:
            there = Hub(Path(), None)
            with pytest.MonkeyPatch.context() as patch:
                for client in ("_hugging_face_client", "_modelscope_client"):
                    patch.setattr(hub, client, lambda there=there: there)
                with pytest.raises(Exception, match=r"config\.yaml"):
                    find_model(name, at, None, Arguments())  # type: ignore[arg-type]
            assert there.asked[0][0] == names[name], (at, name)
