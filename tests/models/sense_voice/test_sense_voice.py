"""SenseVoice against FunASR: the same scores, tokens, text and times, in both runtimes, alone and in batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.clips import CLIPS, buzz, decoded
from helpers.oracles import sense_voice as oracle
from helpers.oracles.run import openvino_run, torch_run
from overtone.backends import cost_probe
from overtone.batching.cost_model import Shape
from overtone.errors import CheckpointError, ModelError, UsageError
from overtone.models import checkpoints
from overtone.models.graph import Graph
from overtone.models.sense_voice.ctc_alignment import align, runs
from overtone.models.sense_voice.network import build
from overtone.models.sense_voice.task import LANGUAGES, SenseVoiceParams, SenseVoiceTask
from overtone.models.task import RunGraph
from overtone.models.tokenizers.sentencepiece import SentencePieceTokenizer, WordSpan, join, without_tags
from overtone.types import Batch, TokenOutput

SPEECH = (
    "wenet/aishell-BAC009S0724W0121.wav",
    "wenet/librispeech-1995-1837-0001.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0870.wav",
)
WISHES = (SenseVoiceParams("auto", itn=False), SenseVoiceParams("zh", itn=True), SenseVoiceParams("ko", itn=True))
TOLERANCE = 1e-3
"""Of scores of the order of 30, which the last layer makes of features that differ by up to 5e-4."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.publish(tmp_path_factory.mktemp("sense_voice") / "SenseVoiceSmall")


@pytest.fixture(scope="module")
def funasr(folder: Path) -> Any:
    return oracle.funasr(folder)


@pytest.fixture(scope="module")
def ctc() -> Any:
    """FunASR's alignment of tokens with frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "funasr.models.sense_voice.utils.ctc_alignment", reason="funasr, the oracle, is not installed"
        )


@pytest.fixture(scope="module")
def graphs(folder: Path) -> Mapping[str, Graph]:
    return build(checkpoints.read(folder, name="model"))


@pytest.fixture(scope="module", params=["torch", "openvino"])
def run(request: pytest.FixtureRequest, graphs: Mapping[str, Graph]) -> RunGraph:
    made: Callable[[Mapping[str, Graph]], RunGraph] = {"torch": torch_run, "openvino": openvino_run}[request.param]
    return made(graphs)


@pytest.fixture(scope="module")
def task(folder: Path) -> SenseVoiceTask:
    return SenseVoiceTask(checkpoints.read(folder, name="model"))


@pytest.fixture(scope="module")
def speech() -> list[np.ndarray]:
    return [decoded(CLIPS / "speech" / name) for name in SPEECH]


def text_of(task: SenseVoiceTask, answer: TokenOutput) -> str:
    """All of it, tags too."""
    ids = {task.pieces[token]: token for token in range(len(task.pieces))}
    return task.pieces.decode([*(ids[tag] for tag in answer.tags), *answer.tokens])


def ask(
    task: SenseVoiceTask, run: RunGraph, waveforms: list[np.ndarray], decode_params: SenseVoiceParams | None
) -> list[TokenOutput]:
    answers = task.answer(run, Batch(tuple(waveforms), max(map(len, waveforms)), decode_params))
    assert all(isinstance(answer, TokenOutput) for answer in answers)
    return answers  # type: ignore[return-value]  # just looked at


def same(left: TokenOutput, right: TokenOutput) -> None:
    """The same answer, but for float rounding in the probabilities."""
    assert left.tags == right.tags
    np.testing.assert_array_equal(left.tokens, right.tokens)
    np.testing.assert_array_equal(left.times, right.times)
    np.testing.assert_allclose(left.confidences, right.confidences, atol=1e-4)


def test_scores_are_funasrs(
    folder: Path, funasr: Any, run: RunGraph, task: SenseVoiceTask, speech: list[np.ndarray]
) -> None:
    model, frontend = funasr.model, funasr.kwargs["frontend"]
    asked = np.array([[0, 1, 2, 15]], np.int64)
    for samples in speech:
        features, count = frontend(torch.from_numpy(samples)[None], [len(samples)])
        with torch.inference_mode():
            together = torch.cat([model.embed(torch.from_numpy(asked)), features], dim=1)
            hidden = model.encoder(together, count + 4)[0]
            expected = model.ctc.log_softmax(hidden)[0].numpy()
        inputs = {"features": features.numpy(), "counts": count.numpy(), "queries": asked}
        ours = run("encoder", inputs)["hidden"][0].copy()
        np.testing.assert_allclose(ours, hidden[0].numpy(), atol=2e-5)
        head = run("head", {"hidden": ours})
        np.testing.assert_array_equal(head["best"], expected.argmax(axis=1))
        np.testing.assert_allclose(head["probability"], np.exp(expected.max(axis=1)), atol=1e-4)
        tokens = np.array([0, 7, 31, 7], np.int64)
        scores = run("scores", {"hidden": ours, "tokens": tokens})["scores"]
        np.testing.assert_allclose(scores - head["total"][:, None], expected[:, tokens], atol=TOLERANCE)


@pytest.mark.parametrize("decode_params", WISHES, ids=lambda decode_params: decode_params.language)
def test_answers_are_funasrs(
    funasr: Any, run: RunGraph, task: SenseVoiceTask, speech: list[np.ndarray], decode_params: SenseVoiceParams
) -> None:
    for samples, answer in zip(speech, ask(task, run, speech, decode_params), strict=True):
        theirs = funasr.generate(
            input=samples, language=decode_params.language, use_itn=decode_params.itn, output_timestamp=True
        )[0]
        assert text_of(task, answer) == theirs["text"]
        assert len(answer.tags) == 4
        words = task.pieces.words([int(token) for token in answer.tokens])
        assert answer.times is not None
        assert [word.text for word in words] == theirs["words"]
        spans = [[int(answer.times[word.first, 0]), int(answer.times[word.last, 1])] for word in words]
        assert spans == theirs["timestamp"]
        assert len(words) > 10
        same(answer, ask(task, run, [samples], decode_params)[0])


def test_without_times_the_text_is_the_same(run: RunGraph, task: SenseVoiceTask, speech: list[np.ndarray]) -> None:
    timed = ask(task, run, speech, SenseVoiceParams())
    for answer, with_times in zip(ask(task, run, speech, SenseVoiceParams(times=False)), timed, strict=True):
        assert answer.times is None
        assert text_of(task, answer) == text_of(task, with_times)
        assert len(answer.confidences) == len(answer.tokens)


def test_a_batch_of_any_lengths_is_answered_as_each_alone(run: RunGraph, task: SenseVoiceTask) -> None:
    waveforms = [buzz(seconds, seed) for seed, seconds in enumerate((0.025, 3.3, 0.4, 12.0, 0.01, 1.7))]
    for answer, samples in zip(ask(task, run, waveforms, None), waveforms, strict=True):
        same(answer, ask(task, run, [samples], SenseVoiceParams())[0])
        assert answer.times is not None
        assert answer.times.shape == (len(answer.tokens), 2)
        assert (answer.times[:, 0] < answer.times[:, 1]).all()
        assert (np.diff(answer.times[:, 0]) > 0).all()
        assert answer.times.max(initial=0) <= 60 * (len(samples) / 960 + 1)
        assert ((answer.confidences > 0) & (answer.confidences <= 1)).all()


def saying(path: list[int], size: int) -> RunGraph:
    """A run of a network that says these tokens, frame by frame, with probability 0.9 each."""
    table = np.full((1, len(path), size), np.log(0.1 / (size - 1)), np.float32)
    table[0, np.arange(len(path)), path] = np.log(0.9)

    def run(graph: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        hidden = inputs.get("hidden")
        if graph == "encoder" or hidden is None:
            return {"hidden": table}
        if graph == "scores":
            return {"scores": hidden[:, inputs["tokens"]]}
        return {
            "best": hidden.argmax(axis=1),
            "probability": np.exp(hidden.max(axis=1)),
            "total": np.zeros(len(hidden), np.float32),
        }

    return run


def spoken(task: SenseVoiceTask, pieces: list[str | None], counts: list[int]) -> TokenOutput:
    """What is answered where tags and then these pieces are said, each for so many frames; None for a blank."""
    ids: dict[str | None, int] = {task.pieces[token]: token for token in range(len(task.pieces))} | {None: 0}
    path = [ids[tag] for tag in ("<|en|>", "<|SAD|>", "<|BGM|>", "<|woitn|>")]
    for piece, count in zip(pieces, counts, strict=True):
        path += [ids[piece]] * count
    frames = len(path) - 4
    return ask(task, saying(path, len(task.pieces)), [buzz(frames * 0.06)], SenseVoiceParams())[0]


def test_tokens_are_those_that_the_text_is_usually_written_with(task: SenseVoiceTask) -> None:
    answer = spoken(task, ["tr", "ibal", None, "▁go", "ld", None], [1, 2, 3, 1, 1, 2])
    assert [task.pieces[token] for token in answer.tokens] == ["tribal", "▁gold"]
    assert answer.tags == ("<|en|>", "<|SAD|>", "<|BGM|>", "<|woitn|>")
    assert answer.times is not None
    assert (answer.times[0, 0], answer.times[-1, 1]) <= (180, 450)


def test_a_token_that_is_several_alone_has_the_time_of_all_of_them(
    task: SenseVoiceTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = task.pieces.split("going")
    monkeypatch.setattr(
        task.pieces, "encode_standalone", lambda tokens: [[parts[0]], parts, [parts[-1]]][: len(tokens)]
    )
    monkeypatch.setattr(task, "_written", lambda ids, tags: [7, 8, 9])
    path = [18, 19, 20, 21]
    for token in (parts[0], 0, *parts, 0, parts[-1]):
        path += [token] * 2
    answer = ask(task, saying(path, len(task.pieces)), [buzz(1)], SenseVoiceParams())[0]
    assert answer.tokens.tolist() == [7, 8, 9]
    assert answer.times is not None
    stop = 4 + 2 * len(parts)
    frames = np.array([[0, 2], [4, stop], [stop + 2, stop + 4]])
    np.testing.assert_allclose(answer.times, np.maximum(frames * 60 - 30, 0), atol=1)


def test_blanks_in_a_row_are_kept_as_said(task: SenseVoiceTask) -> None:
    answer = spoken(task, ["the", "▁", "▁day", None, "boy"], [1, 2, 1, 1, 3])
    assert [task.pieces[token] for token in answer.tokens] == ["the", "▁", "▁day", "boy"]
    assert answer.times is not None
    np.testing.assert_allclose(answer.times, [[0, 30], [30, 150], [150, 210], [270, 450]], atol=1)
    np.testing.assert_allclose(answer.confidences, 0.9, rtol=1e-5)


def test_without_all_tags_the_frames_speak_for_themselves(task: SenseVoiceTask) -> None:
    ids = {task.pieces[token]: token for token in range(len(task.pieces))}
    path = [ids["<|en|>"], 0, 0, ids["<|woitn|>"], ids["<|woitn|>"], ids["day"], 0]
    answer = ask(task, saying(path, len(task.pieces)), [buzz(0.18)], None)[0]
    assert answer.tags == ("<|en|>", "<|woitn|>")
    assert [task.pieces[token] for token in answer.tokens] == ["day"]


def test_what_are_no_numbers_is_no_silence(task: SenseVoiceTask) -> None:
    said = saying([18, 19, 20, 21, 0, 0, 0], len(task.pieces))

    def run(graph: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        outputs = dict(said(graph, inputs))
        if graph == "head":
            outputs["total"][2] = np.nan
        return outputs

    with pytest.raises(ModelError, match="model: gave values that are not numbers"):
        ask(task, run, [buzz(0.18)], None)


@pytest.mark.parametrize("shape", [Shape(1, 0.5), Shape(2, 3.0), Shape(1, 0.025)], ids=str)
def test_a_rehearsal_runs_every_graph(run: RunGraph, task: SenseVoiceTask, shape: Shape) -> None:
    seen: dict[str, Mapping[str, np.ndarray]] = {}

    def watched(graph: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        seen[graph] = inputs
        return run(graph, inputs)

    task.run_worst_case(watched, cost_probe.noise(shape))
    assert set(seen) == set(task.graphs)
    assert len(seen["scores"]["tokens"]) >= seen["encoder"]["counts"].max() / 2


def test_the_wish_is_looked_at() -> None:
    with pytest.raises(UsageError, match="'fr' is none of"):
        SenseVoiceParams("fr")
    assert set(LANGUAGES) == {"auto", "zh", "en", "yue", "ja", "ko", "nospeech"}


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 10_000))
def test_alignment_is_funasrs(ctc: Any, frames: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    table = torch.log_softmax(torch.from_numpy(random.standard_normal((frames, 5)).astype(np.float32) * 3), dim=1)
    tokens = random.integers(1, 5, count)
    ours = align(tokens, table[:, tokens].numpy(), table[:, 0].numpy())
    if frames < count + int((np.diff(tokens) == 0).sum()):
        assert ours is None
        return
    assert ours is not None
    path = ctc.ctc_forced_align(
        table[None], torch.from_numpy(tokens.copy())[None], torch.tensor([frames]), torch.tensor([count])
    )[0].numpy()
    ids, starts, stops = runs(path)
    np.testing.assert_array_equal(ids, tokens)
    np.testing.assert_array_equal(ours[0], starts)
    np.testing.assert_array_equal(ours[1], stops)


@given(st.lists(st.integers(0, 3), max_size=30))
def test_the_likeliest_path_is_its_own_alignment(best: list[int]) -> None:
    """Why nothing is aligned where the tokens are what the frames say."""
    path = np.array(best, np.int64)
    ids, starts, stops = runs(path)
    if not len(ids):
        return
    table = np.full((len(path), 4), -5, np.float32)
    table[np.arange(len(path)), path] = np.where(path == 0, 0, -1)
    aligned = align(ids, table[:, ids], table[:, 0])
    assert aligned is not None
    np.testing.assert_array_equal(aligned[0], starts)
    np.testing.assert_array_equal(aligned[1], stops)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["▁the", "▁tri", "bal"], [("the", 0, 0), ("tribal", 1, 2)]),
        (["开", "放", "wi", "fi", "时"], [("开", 0, 0), ("放", 1, 1), ("wifi", 2, 3), ("时", 4, 4)]),
        (["it", "'", "s", "▁", "a", "b"], [("it", 0, 0), ("'", 1, 1), ("s", 2, 2), ("ab", 4, 5)]),
        (["▁", "▁"], []),
        ([], []),
    ],
)
def test_pieces_are_joined_to_words(pieces: list[str], words: list[tuple[str, int, int]]) -> None:
    assert join(pieces) == [WordSpan(*word) for word in words]


def test_tags_are_taken_out() -> None:
    assert without_tags("<|en|><|HAPPY|><|Speech|><|withitn|> 3 < 5 |> and <| so on ") == "3 < 5 |> and <| so on"


def test_broken_vocabularies_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.bpe.model"
    for content in (b"", b"not a model", b"\x00" * 100):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"model: x\.bpe\.model"):
            SentencePieceTokenizer(path, "model")
    with pytest.raises(CheckpointError, match=r"model: no\.bpe\.model"):
        SentencePieceTokenizer(tmp_path / "no.bpe.model", "model")


def test_an_id_outside_the_vocabulary_is_refused(task: SenseVoiceTask) -> None:
    with pytest.raises(CheckpointError, match="the vocabulary ends at"):
        task.pieces[len(task.pieces)]


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def changed(folder: Path, **values: object) -> checkpoints.Checkpoint:
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) | values
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return checkpoints.read(folder, name="model")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder", "SANMEncoder"),
        ("frontend", "WhisperFrontend"),
        ("normalize", "UtteranceMVN"),
        ("ctc_conf", {"extra_linear": False}),
        ("model_conf", {"blank_id": 3}),
        ("encoder_conf", "large"),
    ],
)
def test_other_networks_are_refused(copy: Path, key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=rf"model: {key}"):
        build(changed(copy, **{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [("tokenizer", "CharTokenizer"), ("frontend", "WhisperFrontend"), ("frontend_conf", {"fs": 8000})],
)
def test_other_features_and_vocabularies_are_refused(copy: Path, key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=rf"model: {key}"):
        SenseVoiceTask(changed(copy, **{key: value}))


@pytest.mark.parametrize("name", ["am.mvn", "chn_jpn_yue_eng_ko_spectok.bpe.model"])
def test_missing_files_are_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=name.rsplit("spectok", maxsplit=1)[-1].replace(".", r"\.")):
        SenseVoiceTask(checkpoints.read(copy, name="model"))


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    weights = torch.load(copy / "model.pt", weights_only=True)
    del weights["ctc.ctc_lo.bias"]
    (copy / "model.pt").unlink()
    torch.save(weights, copy / "model.pt")
    with pytest.raises(CheckpointError, match=r"ctc\.ctc_lo\.bias"):
        build(checkpoints.read(copy, name="model"))
