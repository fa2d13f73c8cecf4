"""A streaming Paraformer against FunASR's own, chunk by chunk."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.clips import CLIPS, buzz
from helpers.oracles import paraformer as oracle
from helpers.oracles.run import openvino_run, torch_run
from overtone.errors import CheckpointError, ModelError, UsageError
from overtone.models import checkpoints
from overtone.models.paraformer.chunking import EVERYTHING, Chunks
from overtone.models.paraformer.streaming_network import build
from overtone.models.paraformer.streaming_task import StreamingParaformer
from overtone.models.task import Array, RunGraph
from overtone.types import Samples

WAVE = buzz(6.0, seed=3)
STEP = 9600
"""Samples of a chunk."""
PUBLISHED = {"chunk_size": [0, 10, 5], "encoder_chunk_look_back": 4, "decoder_chunk_look_back": 1}


class Model:
    """One small network, as FunASR and as both runtimes run it."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = checkpoints.read(folder, name="small")
        self.funasr = oracle.funasr(folder)
        self.streaming = StreamingParaformer(self.checkpoint)
        graphs = build(self.checkpoint)
        assert tuple(graphs) == self.streaming.graphs
        self.runs: dict[str, RunGraph] = {"torch": torch_run(graphs), "openvino": openvino_run(graphs)}
        self._expected: dict[bytes, list[str]] = {}

    def told(self, runtime: str, pieces: Sequence[Samples], chunks: Chunks | None = None) -> list[str]:
        """The text that each piece brings, and the end with the last one."""
        stream = self.streaming.stream(self.runs[runtime], chunks)
        tokens = [stream.push(piece).tokens.tolist() for piece in pieces]
        tokens[-1] += stream.finish().tokens.tolist()
        return [self.streaming.tokens.text(some) for some in tokens]

    def expected(self, pieces: Sequence[Samples], cut: Mapping[str, object] = PUBLISHED) -> list[str]:
        """The same by FunASR, with the numbers that it documents, or with others; it is asked once for each."""
        asked = pickle.dumps((pieces, sorted(cut.items())))
        if asked not in self._expected:
            cache: dict[str, object] = {}
            last = len(pieces) - 1
            self._expected[asked] = [
                self.funasr.generate(input=piece, cache=cache, is_final=place == last, **cut)[0]["text"]
                for place, piece in enumerate(pieces)
            ]
        return self._expected[asked]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(oracle.publish(tmp_path_factory.mktemp("streaming"), kind="ParaformerStreaming"))


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize(
    "samples",
    [len(WAVE) - 77, 3 * STEP, 2 * STEP + 500, 500, STEP + 1200, STEP + 961],
    ids=["long", "whole chunks", "a scrap at the end", "a scrap", "a short end", "the shortest end"],
)
def test_each_chunk_brings_what_it_brings_to_funasr(model: Model, runtime: str, samples: int) -> None:
    pieces = [WAVE[start : min(start + 4800, samples)] for start in range(0, samples, 4800)]
    told = model.told(runtime, pieces)
    assert told == model.expected(pieces)
    assert samples < STEP or any(told)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_real_speech_is_heard_as_funasr_hears_it(model: Model, runtime: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    for file in ("aishell-BAC009S0724W0121.wav", "librispeech-1995-1837-0001.wav"):
        wave, _ = soundfile.read(CLIPS / "speech" / "wenet" / file, dtype="float32")
        pieces = [wave[start : start + STEP] for start in range(0, len(wave), STEP)]
        assert model.told(runtime, pieces) == model.expected(pieces)


@pytest.mark.parametrize("step", [333, 9600, 20_000, 96_000])
def test_how_samples_arrive_does_not_matter(model: Model, step: int) -> None:
    pieces = [WAVE[start : start + step] for start in range(0, len(WAVE), step)]
    assert "".join(model.told("torch", pieces)) == "".join(model.told("torch", [WAVE]))


def test_streams_do_not_know_of_each_other(model: Model) -> None:
    one, other = (model.streaming.stream(model.runs["openvino"]) for _ in range(2))
    alone = model.streaming.stream(model.runs["openvino"])
    for start in range(0, len(WAVE), STEP):
        mixed = one.push(WAVE[start : start + STEP])
        other.push(WAVE[::-1][start : start + STEP].copy())
        own = alone.push(WAVE[start : start + STEP])
        assert np.array_equal(mixed.tokens, own.tokens)
        assert np.array_equal(mixed.confidences, own.confidences)


def test_without_audio_it_ends_quietly(model: Model) -> None:
    stream = model.streaming.stream(model.runs["torch"])
    assert not len(stream.push(np.zeros(0, np.float32)).tokens)
    assert stream.finish().times is None


def test_what_are_no_numbers_is_no_silence(model: Model) -> None:
    def run(graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return {name: np.full_like(value, np.nan) for name, value in model.runs["torch"](graph, inputs).items()}

    with pytest.raises(ModelError, match="small: gave values that are not numbers"):
        model.streaming.stream(run).push(WAVE)


@pytest.mark.parametrize(
    ("chunk_size", "encoder_back", "decoder_back"),
    [
        ([0, 8, 4], 4, 1),
        ([5, 10, 5], 4, 1),
        ([5, 10, 5], 1, 1),
        ([0, 10, 5], 0, 0),
        ([0, 10, 5], 1, 0),
        ([0, 10, 5], 0, 3),
        ([0, 10, 5], -1, 2),
        ([3, 7, 2], 2, 2),
        ([10, 5, 1], 1, 1),
        ([4, 10, 0], 4, 1),
        ([0, 20, 10], 2, 1),
        ([0, 1, 1], 3, 3),
    ],
)
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_streams_are_cut_in_any_way_that_funasr_cuts_them(
    model: Model, runtime: str, chunk_size: list[int], encoder_back: int, decoder_back: int
) -> None:
    before, size, ahead = chunk_size
    chunks = Chunks(size, ahead, encoder_back, decoder_back, before)
    cut = {
        "chunk_size": chunk_size,
        "encoder_chunk_look_back": encoder_back,
        "decoder_chunk_look_back": decoder_back,
    }
    step = size * 960
    for samples in (len(WAVE) - 77, 3 * step):
        pieces = [WAVE[start : min(start + step, samples)] for start in range(0, samples, step)]
        told = model.told(runtime, pieces, chunks)
        assert told == model.expected(pieces, cut)
    assert any(told)


def test_how_a_stream_is_cut_changes_what_is_heard(model: Model) -> None:
    """So the test above can fail."""
    told = {"".join(model.told("torch", [WAVE], chunks)) for chunks in (Chunks(), Chunks(8, 4), Chunks(before=5))}
    assert len(told) == 3


def test_a_stream_that_remembers_everything_ends_before_it_takes_all_memory(model: Model) -> None:
    stream = model.streaming.stream(model.runs["torch"], Chunks(encoder_back=EVERYTHING))
    with pytest.raises(UsageError, match="1,000 frames"):
        stream.push(np.tile(WAVE, 11))


def test_what_was_converted_for_one_way_of_cutting_is_to_be_converted_again(tmp_path: Path) -> None:
    folder = oracle.publish(tmp_path / "c", kind="ParaformerStreaming")
    for name in ("encoder_chunk.xml", "encoder_chunk.bin"):
        (folder / name).write_bytes(b"")
    said = {"format": 2, "precision": "fp32", "source": "", "made_with": {}, "agreement": None}
    sizes = {"encoder_chunk.xml": 0, "encoder_chunk.bin": 0}
    (folder / "overtone.json").write_text(json.dumps({**said, "sizes": sizes}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="converted by an earlier version"):
        StreamingParaformer(checkpoints.read(folder, name="old"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ahead": 0},
        {"size": 0},
        {"ahead": -1, "before": 2},
        {"before": -1},
        {"size": 1000},
        {"encoder_back": 101},
        {"decoder_back": 101},
    ],
)
def test_chunks_have_to_see_something_and_not_too_much(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="frame"):
        Chunks(**wrong)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("decoder_conf", "sanm_shfit", 0), ("decoder_conf", "num_blocks", 9), (None, "model", "Paraformer")],
)
def test_what_cannot_be_streamed_is_refused(tmp_path: Path, section: str | None, key: str, value: object) -> None:
    config = oracle.config("ParaformerStreaming")
    (config if section is None else config[section])[key] = value
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "tokens.json").write_text(json.dumps(oracle.vocabulary(120)), encoding="utf-8")
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=key):
        StreamingParaformer(checkpoints.read(tmp_path, name="here"))
