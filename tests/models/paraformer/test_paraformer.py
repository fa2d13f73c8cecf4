"""Paraformer and its kin against FunASR's own classes, from waveforms to words and their times."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from helpers.clips import CLIPS, buzz
from helpers.oracles import paraformer as oracle
from helpers.oracles.run import openvino_run, torch_run
from overtone.backends import cost_probe
from overtone.batching.cost_model import Shape
from overtone.errors import CheckpointError, ModelError, UsageError
from overtone.models import checkpoints
from overtone.models.checkpoints import Checkpoint
from overtone.models.paraformer.hotwords import LONGEST, MOST
from overtone.models.paraformer.network import build
from overtone.models.paraformer.task import ParaformerParams, ParaformerTask
from overtone.models.task import Array, RunGraph
from overtone.types import Batch, Samples, TokenOutput

KINDS: tuple[oracle.Kind, ...] = ("Paraformer", "BiCifParaformer", "SeacoParaformer")
HOTWORDS = ("sensible", "乐乑", "dashwood", "丈", "the", "nowhere")
MANY = tuple(chr(0x4E00 + place) + chr(0x4E00 + (7 * place) % 80) for place in range(70))


class Model:
    """One small network, as FunASR and as both runtimes run it."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = checkpoints.read(folder, name="small")
        self.funasr = oracle.funasr(folder)
        self.task = ParaformerTask(self.checkpoint)
        graphs = build(self.checkpoint)
        assert sorted(graphs) == sorted(self.task.graphs)
        self.runs: dict[str, RunGraph] = {"torch": torch_run(graphs), "openvino": openvino_run(graphs)}
        self._expected: dict[tuple[bytes, tuple[str, ...]], tuple[str, list[list[int]]]] = {}
        self._tasks = {runtime: ParaformerTask(self.checkpoint) for runtime in self.runs}  # each keeps hot words

    def answer(self, runtime: str, waves: Sequence[Samples], hotwords: tuple[str, ...] = ()) -> list[TokenOutput]:
        """What the task says of a batch."""
        decode_params = ParaformerParams(hotwords) if hotwords else None
        return self._tasks[runtime].answer(self.runs[runtime], Batch(tuple(waves), max(map(len, waves)), decode_params))

    def expected(self, wave: Samples, hotwords: tuple[str, ...] = ()) -> tuple[str, list[list[int]]]:
        """FunASR's text, and the times of its words, without those before the start of the waveform; it is asked once
        for each."""
        asked = (wave.tobytes(), hotwords)
        if asked not in self._expected:
            told = {"hotword": " ".join(hotwords)} if hotwords else {}
            (result,) = self.funasr.generate(input=wave, **told) or [{"text": ""}]
            times = [[max(0, start), max(0, stop)] for start, stop in result.get("timestamp", [])]
            self._expected[asked] = result["text"], times
        return self._expected[asked]

    def told(self, answer: TokenOutput) -> tuple[str, list[list[int]]]:
        """The same of an answer."""
        words = self.task.tokens.words(answer.tokens.tolist())
        if answer.times is None:
            return self.task.tokens.text(answer.tokens.tolist()), []
        times = [[int(answer.times[first, 0]), int(answer.times[last, 1])] for _, first, last in words]
        return " ".join(text for text, _, _ in words), times


@pytest.fixture(scope="module")
def seaco(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(oracle.publish(tmp_path_factory.mktemp("published"), kind="SeacoParaformer", seed=1))


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, seaco: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    if request.param == "SeacoParaformer":
        return seaco
    return Model(oracle.publish(tmp_path_factory.mktemp("published"), kind=request.param))


VOICES = [buzz(seconds, seed) for seed, seconds in enumerate((3.0, 0.4, 7.3, 1.05))]


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_words_and_times_are_those_of_funasr(model: Model, runtime: str) -> None:
    answers = model.answer(runtime, VOICES)
    for wave, answer in zip(VOICES, answers, strict=True):
        assert model.told(answer) == model.expected(wave)
        assert ((answer.confidences > 0) & (answer.confidences <= 1)).all()
        assert len(answer.tokens) == len(answer.confidences)
    assert len({token for answer in answers for token in answer.tokens.tolist()}) > 5
    assert 20 <= sum(len(answer.tokens) for answer in answers) <= 100


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_real_speech_is_heard_as_funasr_hears_it(model: Model, runtime: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    folder = CLIPS / "speech" / "wenet"
    files = ("aishell-BAC009S0724W0121.wav", "librispeech-1995-1837-0001.wav")
    waves = [soundfile.read(folder / file, dtype="float32")[0] for file in files]
    for wave, answer in zip(waves, model.answer(runtime, waves), strict=True):
        assert model.told(answer) == model.expected(wave)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("hotwords", [HOTWORDS, MANY], ids=["few", "many"])
def test_hot_words_are_heard_as_funasr_hears_them(seaco: Model, runtime: str, hotwords: tuple[str, ...]) -> None:
    answers = seaco.answer(runtime, VOICES, hotwords)
    changed = 0
    for wave, answer, plain in zip(VOICES, answers, seaco.answer(runtime, VOICES), strict=True):
        assert seaco.told(answer) == seaco.expected(wave, hotwords)
        changed += seaco.told(answer) != seaco.told(plain)
    assert changed > 1


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("hotwords", [(), HOTWORDS, MANY], ids=["none", "few", "many"])
def test_a_batch_answers_what_each_would_get_alone(seaco: Model, runtime: str, hotwords: tuple[str, ...]) -> None:
    for wave, row in zip(VOICES, seaco.answer(runtime, VOICES, hotwords), strict=True):
        (alone,) = seaco.answer(runtime, [wave], hotwords)
        assert np.array_equal(row.tokens, alone.tokens)
        assert np.array_equal(row.times, alone.times)  # type: ignore[arg-type]  # it tells times
        np.testing.assert_allclose(row.confidences, alone.confidences, atol=1e-5)  # other orders of additions


def test_padding_changes_nothing(seaco: Model) -> None:
    """Frame by frame, through everything that looks at neighbours."""
    random = np.random.default_rng(0)
    features = random.standard_normal((2, 40, 560)).astype(np.float32)
    counts = np.array([23, 40])
    run = seaco.runs["torch"]
    heard = {key: value.copy() for key, value in run("encoder", {"features": features, "counts": counts}).items()}
    alone = run("encoder", {"features": features[:1, :23].copy(), "counts": counts[:1]})
    np.testing.assert_allclose(heard["hidden"][0, :23], alone["hidden"][0], atol=1e-5)
    np.testing.assert_allclose(heard["alphas"][0, :24], alone["alphas"][0], atol=1e-5)
    assert not heard["hidden"][0, 23:].any()
    assert not heard["alphas"][0, 24:].any()
    weights = run("times", {"hidden": heard["hidden"], "counts": counts})["weights"]
    own = run("times", {"hidden": alone["hidden"], "counts": counts[:1]})["weights"]
    np.testing.assert_allclose(weights[0, : 3 * 23], own[0], atol=1e-5)
    assert not weights[0, 3 * 23 :].any()


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_silence_and_the_shortest_audio_are_no_error(model: Model, runtime: str) -> None:
    short = np.zeros(model.task.min_samples, np.float32)
    for answer in model.answer(runtime, [short, buzz(0.05), np.zeros(16_000, np.float32)]):
        assert answer.tokens.dtype == np.int32
        assert answer.confidences.dtype == np.float32
        if answer.times is not None:
            assert answer.times.shape == (len(answer.tokens), 2)
    (answer,) = model.answer(runtime, [short])
    assert model.told(answer) == model.expected(short)


@pytest.mark.parametrize(("graph", "output"), [("encoder", "alphas"), ("decoder", "probability"), ("times", "weights")])
def test_what_are_no_numbers_is_no_silence(seaco: Model, graph: str, output: str) -> None:
    def run(name: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        outputs = dict(seaco.runs["torch"](name, inputs))
        if name == graph:
            outputs[output] = np.full_like(outputs[output], np.nan)
        return outputs

    with pytest.raises(ModelError, match="small: gave values that are not numbers"):
        seaco.task.answer(run, Batch((VOICES[0],), len(VOICES[0])))


@pytest.mark.parametrize("shape", [Shape(1, 0.5), Shape(2, 3.0), Shape(1, 0.025)], ids=str)
def test_a_rehearsal_runs_every_graph_at_the_most(model: Model, shape: Shape) -> None:
    seen: dict[str, Mapping[str, Array]] = {}

    def run(graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        seen[graph] = inputs
        return model.runs["torch"](graph, inputs)

    model.task.run_worst_case(run, cost_probe.noise(shape))
    assert set(seen) == set(model.task.graphs)
    frames, tokens = seen["encoder"]["counts"], seen["decoder"]["tokens"]
    assert (tokens == (frames + 1) // 2).all()
    if "seaco" in seen:
        assert seen["hotwords"]["words"].shape[1] == LONGEST
        every = seen["hotword_scores" if "hotword_scores" in seen else "seaco"]
        assert (every["words"] == MOST + 1).all()


def test_hot_words_have_an_end(seaco: Model) -> None:
    ParaformerParams(("词" * LONGEST,) * MOST)
    with pytest.raises(UsageError, match=r"1,001 hot words are more than 1,000; give"):
        ParaformerParams(("词",) * (MOST + 1))
    with pytest.raises(UsageError, match="longer than 32 characters; give"):
        ParaformerParams(("short", "词" * (LONGEST + 1)))


def test_a_hot_word_that_is_no_text_is_refused_where_it_is_given() -> None:
    with pytest.raises(UsageError, match=r"the hot word 'a\\udcff' is not text that UTF-8 can write; give"):
        ParaformerParams(("words", "a\udcff"))


def test_hot_words_are_looked_up_once(seaco: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    words = seaco.task._hotwords
    assert words is not None
    before = words.ids(HOTWORDS)
    monkeypatch.setattr(words, "_lines", b"")  # in which nothing would be found
    for told, again in zip(before, words.ids(HOTWORDS), strict=True):
        assert np.array_equal(told, again)


def test_vectors_of_hot_words_are_kept_from_batch_to_batch(seaco: Model) -> None:
    task, asked = ParaformerTask(seaco.checkpoint), []

    def run(graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        asked.append(graph)
        return seaco.runs["torch"](graph, inputs)

    batch = Batch(tuple(VOICES), max(map(len, VOICES)), ParaformerParams(HOTWORDS))
    first, again = task.answer(run, batch), task.answer(run, batch)
    assert asked.count("hotwords") == 1
    assert [one.tokens.tolist() for one in first] == [one.tokens.tolist() for one in again]
    others = Batch(batch.waveforms, batch.padded, ParaformerParams(MANY))
    assert [one.tokens.tolist() for one in task.answer(run, others)] != [one.tokens.tolist() for one in first]
    assert asked.count("hotwords") > 1


def test_hot_words_are_refused_where_none_are_heard(model: Model) -> None:
    if model.checkpoint.kind == "SeacoParaformer":
        pytest.skip("it hears them")
    with pytest.raises(UsageError, match="hot words"):
        model.answer("torch", VOICES[:1], HOTWORDS)


def test_hot_words_are_divided_as_the_checkpoint_says(seaco: Model) -> None:
    tokens = seaco.task.tokens
    words, lengths = seaco.task._hotwords.ids(("Sensible", "乐乑", "what", "the cat", ""))  # type: ignore[union-attr]
    divided = ["sen@@ si@@ bi@@ li@@ ty@@ the", "乐 乑", "<unk>", "the cat", "<s>"]
    assert lengths.tolist() == [6, 2, 1, 2, 1]
    for row, length, pieces in zip(words, lengths, divided, strict=True):
        assert row[:length].tolist() == [tokens.id(piece) for piece in pieces.split()]


def changed(folder: Path, **settings: Any) -> Checkpoint:
    """A folder whose config.yaml says something else."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in settings.items():
        section, _, word = key.partition("__")
        if word:
            config[section][word] = value
        else:
            config[section] = value
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return checkpoints.read(folder, name="changed")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder", "ConformerEncoder"),
        ("decoder", "ContextualParaformerDecoder"),
        ("predictor", "CifPredictor"),
        ("normalize", "utterance_mvn"),
        ("model", "ContextualParaformer"),
        ("predictor_conf__upsample_type", "cnn_attn"),
        ("predictor_conf__threshold", 0.9),
        ("predictor_conf__idim", 31),
        ("predictor_conf__tail_threshold", "much"),
        ("predictor_conf__l_order", -1),
        ("decoder_conf__concat_after", True),
        ("decoder_conf__attention_heads", 5),
        ("decoder_conf__sanm_shfit", 40),
        ("model_conf__bias_encoder_type", "mean"),
        ("model_conf__bias_encoder_bid", True),
        ("model_conf__inner_dim", 256),
        ("seaco_decoder", None),
        ("seaco_decoder_conf__use_output_layer", True),
        ("encoder_conf", None),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(tmp_path: Path, key: str, value: Any) -> None:
    made = changed(oracle_folder(tmp_path), **{key: value})
    with pytest.raises(CheckpointError, match=key.rpartition("__")[2]):
        ParaformerTask(made)


@pytest.mark.parametrize(
    "listed", [b"a a\n" * ((1 << 20) + 1), b"a " + b"b" * 4096 + b"\n", b"a a\n\xff"], ids=["lines", "line", "bytes"]
)
def test_a_list_of_words_that_cannot_be_is_refused_by_name(tmp_path: Path, listed: bytes) -> None:
    made = checkpoints.read(oracle_folder(tmp_path), name="here")
    (tmp_path / "seg_dict").write_bytes(listed)
    with pytest.raises(CheckpointError, match=r"^here: seg_dict (has more than 1,048,576 lines|cannot be read)"):
        ParaformerTask(made)


def oracle_folder(folder: Path) -> Path:
    """A folder as it is published, without weights."""
    tokens = oracle.vocabulary(120)
    (folder / "config.yaml").write_text(yaml.safe_dump(oracle.config("SeacoParaformer")), encoding="utf-8")
    (folder / "tokens.json").write_text(json.dumps(tokens), encoding="utf-8")
    (folder / "seg_dict").write_text(oracle.seg_dict(tokens), encoding="utf-8")
    (folder / "am.mvn").write_text(oracle.mvn(np.random.default_rng(0)), encoding="utf-8")
    (folder / "model.pt").write_bytes(b"")
    return folder


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = oracle.publish(tmp_path, kind="BiCifParaformer")
    state = torch.load(folder / "model.pt")
    torch.save({"model": state | {"stranger.weight": torch.zeros(1)}}, folder / "model.pt")
    read = checkpoints.read(folder, name="here")
    with pytest.raises(CheckpointError, match="stranger"):
        build(read)
    build(read, strict=False)
    del state["predictor.blstm.weight_hh_l0_reverse"]
    torch.save(state, folder / "model.pt")
    with pytest.raises(CheckpointError, match="blstm"):
        build(checkpoints.read(folder, name="here"))


@pytest.mark.skipif("PUBLISHED_SIZES" not in os.environ, reason="takes 5 GiB: set PUBLISHED_SIZES=1")
@pytest.mark.slow
def test_the_published_size_is_heard_as_funasr_hears_it(tmp_path: Path) -> None:
    model = Model(oracle.publish(tmp_path, kind="SeacoParaformer", size="published"))
    waves = VOICES[:2]
    for hotwords in ((), HOTWORDS):
        for wave, answer in zip(waves, model.answer("torch", waves, hotwords), strict=True):
            assert model.told(answer) == model.expected(wave, hotwords)
