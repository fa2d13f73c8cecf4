"""Folders as they are published: their real texts, and FunASR's own template of each model.

They lie beside the repository (`../shared/data/published`) and not in it: their licences are their own. The last part
needs none of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.clips import EXAMPLES
from overtone import EmotionRecognizer
from overtone.errors import CheckpointError
from overtone.models import checkpoints
from overtone.models.campplus.config import CamPlusConfig
from overtone.models.checkpoints import Checkpoint
from overtone.models.ct_transformer.config import CtTransformerConfig
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.emotion2vec.config import Architecture
from overtone.models.emotion2vec.loading import load
from overtone.models.features.cmvn import read_cmvn
from overtone.models.features.fbank import FrontendConfig
from overtone.models.fsmn_vad.scorer import FsmnVad
from overtone.models.paraformer.streaming_task import StreamingParaformer
from overtone.models.paraformer.task import ParaformerTask
from overtone.models.registry import family_of
from overtone.models.sense_voice.config import encoder_config
from overtone.models.tokenizers.characters import CharTokenizer

Read = Callable[[Checkpoint], Any]

READERS: Mapping[str, Read] = {
    "Emotion2vec": lambda found: Architecture.from_config(found.config, found.name),
    "SenseVoiceSmall": lambda found: encoder_config(found.config, found.name),
    "Paraformer": ParaformerTask,
    "BiCifParaformer": ParaformerTask,
    "SeacoParaformer": ParaformerTask,
    "ParaformerStreaming": StreamingParaformer,
    "FsmnVADStreaming": FsmnVad,
    "CTTransformer": lambda found: CtTransformerConfig.from_config(found.config, found.name),
    "CAMPPlus": lambda found: CamPlusConfig.from_config(found.config, found.name),
}

LOADED = (
    *("bicif_paraformer", "campplus", "ct_transformer", "emotion2vec", "emotion2vec_as_written", "fsmn_vad_streaming"),
    *("paraformer", "paraformer_streaming", "seaco_paraformer"),
)

REFUSED = {
    "contextual_paraformer": r"is a model for speech recognition \(ContextualParaformer\), a network that Overtone",
    "ct_transformer_streaming": r"is a model for punctuation \(CTTransformerStreaming\).* punctuation takes CTTransf",
    "monotonic_aligner": r"is a model for aligning speech with a text that is known \(MonotonicAligner\)",
    "sense_voice": r"is a model for speech recognition \(SenseVoiceRWKV\)",
}


@pytest.fixture(scope="session")
def published(data: Path) -> Path:
    if not (data / "published").is_dir():
        pytest.skip("the texts of published models (../shared/data/published) are not here")
    return data / "published"


def of_template(published: Path, name: str, folder: Path) -> Checkpoint:
    """A folder of a template, with real vocabularies and normalisations beside it, and no weights in its file."""
    folder.mkdir()
    shutil.copy(published / "templates" / f"{name}.yaml", folder / "config.yaml")
    shutil.copy(published / "emotion2vec_plus_large" / "tokens.txt", folder)
    shutil.copy(published / "seaco-paraformer-zh" / "tokens.json", folder)
    normalised = "fsmn-vad" if name.startswith("fsmn") else "seaco-paraformer-zh"
    shutil.copy(published / normalised / "am.mvn", folder)
    (folder / "model.pt").touch()
    return checkpoints.read(folder, name=name)


def test_no_template_is_left_out(published: Path) -> None:
    assert {path.stem for path in (published / "templates").glob("*.yaml")} == {*LOADED, *REFUSED}


@pytest.mark.parametrize("name", LOADED)
def test_a_template_is_read(published: Path, tmp_path: Path, name: str) -> None:
    found = of_template(published, name, tmp_path / "c")
    assert family_of(found).describe(found)
    assert READERS[found.kind](found) is not None


@pytest.mark.parametrize("name", REFUSED)
def test_a_template_of_what_is_not_run_is_refused_for_what_it_is(published: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=REFUSED[name]):
        family_of(of_template(published, name, tmp_path / "c"))


def test_templates_hold_what_omegaconf_reads_in_them(published: Path, tmp_path: Path) -> None:
    omegaconf = pytest.importorskip("omegaconf", reason="omegaconf, which comes with funasr, is not installed")
    for path in [*(published / "templates").glob("*.yaml"), *published.glob("*/config.yaml")]:
        folder = tmp_path / f"{path.parent.name}-{path.stem}"
        folder.mkdir()
        shutil.copy(path, folder / "config.yaml")
        (folder / "tokens.txt").write_text("a\nb")
        (folder / "model.pt").touch()
        expected = omegaconf.OmegaConf.to_container(omegaconf.OmegaConf.load(path), resolve=False)
        assert repr(checkpoints.read(folder, name="c").config) == repr(expected)


def test_the_large_template_is_the_published_shape(published: Path, tmp_path: Path) -> None:
    found = of_template(published, "emotion2vec_as_written", tmp_path / "c")
    ours = Architecture.from_config(random_checkpoint.config(random_checkpoint.LARGE), "seeded")
    assert Architecture.from_config(found.config, "published") == ours
    assert ours.norm_eps == 1e-5


@pytest.mark.parametrize(("folder", "dim"), [("SenseVoiceSmall", 560), ("seaco-paraformer-zh", 560), ("fsmn-vad", 400)])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_published_normalisation_is_read_whatever_ends_its_lines(
    published: Path, tmp_path: Path, folder: str, dim: int, end: bytes
) -> None:
    shutil.copytree(published / folder, tmp_path / "c")
    original = (published / folder / "am.mvn").read_bytes()
    (tmp_path / "c" / "am.mvn").chmod(0o644)
    (tmp_path / "c" / "am.mvn").write_bytes(original.replace(b"\n", end))
    (tmp_path / "c").chmod(0o755)
    (tmp_path / "c" / "model.pt").touch()
    found = checkpoints.read(tmp_path / "c", name="c")
    cmvn = read_cmvn(found.text("am.mvn"), "c")
    numbers = [float(number) for number in original.split() if number[-1:].isdigit() and b"." in number]
    assert len(cmvn.shift) == len(cmvn.scale) == dim
    np.testing.assert_array_equal(np.concatenate([cmvn.shift, cmvn.scale]), np.float32(numbers))
    assert FrontendConfig.from_config(found.config["frontend_conf"], "c").dim == dim


def test_the_published_vocabulary_is_read(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published / "seaco-paraformer-zh", tmp_path / "c")
    (tmp_path / "c").chmod(0o755)
    (tmp_path / "c" / "model.pt").touch()
    found = checkpoints.read(tmp_path / "c", name="c")
    written = json.loads((published / "seaco-paraformer-zh" / "tokens.json").read_text(encoding="utf-8"))
    assert len(CharTokenizer(found)) == len(written) == 8404
    task = ParaformerTask(found)
    assert task.tokens.id("<unk>") == 8403


def test_a_published_folder_without_weights_says_so(published: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights"):
        checkpoints.find(str(published / "SenseVoiceSmall"))


@pytest.mark.parametrize("name", ["tokens.txt", "tokens-v2.0.5-of-ModelScope.txt"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["no last end", "a last end", "CRLF"])
def test_published_labels_are_read_with_and_without_a_last_end(
    published: Path, tmp_path: Path, name: str, end: str
) -> None:
    text = (published / "emotion2vec_plus_large" / name).read_text(encoding="utf-8").rstrip("\n")
    folder = random_checkpoint.write(tmp_path / "c", labels=text.split("\n"))
    (folder / "tokens.txt").write_bytes((text.replace("\n", end or "\n") + end).encode())
    found = checkpoints.read(folder, name="c")
    assert found.labels() == tuple(text.split("\n"))
    with EmotionRecognizer(str(folder)) as recognizer:
        result = recognizer(EXAMPLES / "angry.wav")
    named = [label for label in text.split("\n") if not label.startswith("unuse")]
    assert list(result.scores) == [label.rpartition("/")[2].replace("<unk>", "unknown") for label in named]
    assert sum(result.scores.values()) == pytest.approx(1)


# What follows has the layouts of published folders, and made-up weights.


def rename_weights(folder: Path, name: str) -> None:
    (folder / "model.pt").rename(folder / name)
    path = folder / "configuration.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["file_path_metas"]["init_param"] = name
    path.write_text(json.dumps(written), encoding="utf-8")


def test_the_self_supervised_base_is_read_as_it_is_laid_out(tmp_path: Path) -> None:
    """`emotion2vec_base.pt`: no classes, and the slow copy of the weights that data2vec learns from beside them."""
    folder = random_checkpoint.write(tmp_path / "c", labels=None)
    state = torch.load(folder / "model.pt", weights_only=True)
    weights = state["model"]
    state["model"] = weights | {
        "_ema": {f"blocks.{key}": torch.zeros(3) for key in range(4)},
        "d2v_model.modality_encoders.AUDIO.decoder.proj.weight": torch.zeros(3, 3),
    }
    torch.save(state, folder / "model.pt")
    rename_weights(folder, "emotion2vec_base.pt")
    network, head = load(checkpoints.read(folder, name="c"))
    assert head is None
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[f"d2v_model.{name}"])


def test_the_large_shape_has_the_published_tensors() -> None:
    with torch.device("meta"):
        from overtone.models.emotion2vec.network import Emotion2vec

        tensors = Emotion2vec(
            Architecture.from_config(random_checkpoint.config(random_checkpoint.LARGE), "seeded")
        ).state_dict()
    rows = len(random_checkpoint.LABELS)
    numbers = sum(tensor.numel() for tensor in tensors.values()) + rows * (random_checkpoint.LARGE["embed_dim"] + 1)
    assert len(tensors) + 2 == 185
    assert round(numbers / 1e6) == 162
