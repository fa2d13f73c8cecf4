"""Segments of real speech, beside those of FunASR's `AutoModel` of the same folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.clips import CLIPS, decoded
from helpers.oracles import fsmn_vad as oracle
from helpers.oracles.run import openvino_run
from overtone.models import checkpoints
from overtone.models.fsmn_vad.network import build
from overtone.models.fsmn_vad.scorer import FsmnVad
from overtone.models.task import RunGraph
from overtone.segmentation.fsmn.endpoint_detector import EndpointDetector
from overtone.segmentation.fsmn.segmenter import FsmnSegmenter, MergingSegmenter

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")

MANDARIN = "wenet/aishell-BAC009S0724W0121.wav"
ENGLISH = (
    "wenet/librispeech-1995-1837-0001.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0870.wav",
    "sonnets/p001.mp3",
)
MORE = ("whisper/jfk.flac", "sonnets/p002.mp3")
LONGEST = 61 * 16_000


class Both:
    """A folder as FunASR and as Overtone run it."""

    def __init__(self, folder: Path, size: str) -> None:
        self.checkpoint = checkpoints.read(oracle.publish(folder, size=size), name="fsmn-vad")
        self.theirs = oracle.funasr(folder)
        self.run: RunGraph = openvino_run(build(self.checkpoint))

    def segments(self, samples: np.ndarray, size: int = 16_000, **options: Any) -> list[list[int]]:
        vad = FsmnVad(self.checkpoint, **options)
        cutter = FsmnSegmenter(vad.stream(self.run), vad.options, longest=LONGEST)
        return _speech_ms(cutter, samples, size)

    def funasr(self, audio: Any, **options: Any) -> list[list[int]]:
        found: list[list[int]] = self.theirs.generate(audio, **options)[0]["value"]
        return found


def _speech_ms(cutter: FsmnSegmenter, samples: np.ndarray, size: int) -> list[list[int]]:
    found = []
    for start in range(0, len(samples), size):
        found += cutter.push(samples[start : start + size])
    found += cutter.finish()
    return [[one.span.start // 16, one.span.stop // 16] for one in found if not one.silent]


@pytest.fixture(scope="module", params=["small", "published"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("vad") / "fsmn-vad", request.param)


def joined(seconds: float, seed: int = 0) -> np.ndarray:
    """Clips in two languages by turns, with more and less of a pause between them."""
    random = np.random.default_rng(seed)
    clips = [decoded(CLIPS / "speech" / name) for name in (MANDARIN, *ENGLISH)]
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < seconds * 16_000:
        pause = random.standard_normal(random.integers(0, 60_000)) * 10 ** random.uniform(-5, -3)
        parts += [clips[random.integers(len(clips))], pause.astype(np.float32)]
    return np.concatenate(parts)[: int(seconds * 16_000)]


@pytest.mark.parametrize("name", [MANDARIN, *ENGLISH])
def test_segments_of_a_clip_are_those_of_funasr(both: Both, name: str) -> None:
    samples = decoded(CLIPS / "speech" / name)
    theirs = both.funasr(samples)
    assert both.segments(samples) == theirs
    assert theirs


@pytest.mark.parametrize("name", MORE)
def test_segments_of_more_clips_are_those_of_funasr(both: Both, data: Path, name: str) -> None:
    samples = decoded(data / "speech" / name)
    theirs = both.funasr(samples)
    assert both.segments(samples) == theirs
    assert theirs


def test_a_file_is_what_its_samples_are(both: Both) -> None:
    path = CLIPS / "speech" / MANDARIN
    assert both.segments(decoded(path)) == both.funasr(str(path))


def test_options_have_the_effect_that_they_have_on_funasr(both: Both) -> None:
    samples = joined(70, seed=1)
    fixed = both.segments(samples, max_end_silence_time=400)
    assert fixed == both.funasr(samples, max_end_silence_time=400)
    plain = both.segments(samples, dynamic_silence=False)
    # FunASR keeps the time that it was last called with.
    assert plain == both.funasr(samples, dynamic_silence=False, max_end_silence_time=800)
    assert len(fixed) > len(both.segments(samples)) > 1


def test_joined_segments_are_those_of_funasr(both: Both) -> None:
    from funasr.utils.vad_utils import merge_vad

    samples = joined(75, seed=2)
    vad = FsmnVad(both.checkpoint, max_end_silence_time=400)
    cutter = MergingSegmenter(vad.stream(both.run), vad.options, longest=LONGEST, merge_length_s=15, hear_gaps=True)
    theirs = merge_vad(both.funasr(samples, max_end_silence_time=400), 15_000)
    assert _speech_ms(cutter, samples, 7_777) == theirs
    assert len(theirs) > 3


def events(both: Both, samples: np.ndarray, chunk_ms: int) -> Iterator[list[int]]:
    """What FunASR says while a stream goes on."""
    cache: dict[str, Any] = {}
    size = chunk_ms * 16
    for start in range(0, len(samples), size):
        last = start + size >= len(samples)
        part = samples[start : start + size]
        yield from both.theirs.generate(part, cache=cache, is_final=last, chunk_size=chunk_ms)[0]["value"]


def test_events_of_a_stream_are_those_of_funasr(both: Both) -> None:
    samples = joined(12, seed=3)
    vad = FsmnVad(both.checkpoint, chunk_size=200)
    stream, detector = vad.stream(both.run, block_frames=10), EndpointDetector(vad.options, events=True)
    found = []
    for start in range(0, len(samples), 3200):
        scores = stream.push(samples[start : start + 3200])
        found += detector.push(scores.silence, scores.decibels)
    scores = stream.finish()
    found += detector.finish(scores.silence, scores.decibels, stream.samples)
    assert [list(event) for event in found] == list(events(both, samples, 200))
    assert len(found) > 1


@pytest.mark.slow
def test_segments_of_long_audio_are_those_of_funasr(both: Both) -> None:
    samples = joined(480, seed=4)  # eight of FunASR's own blocks
    theirs = both.funasr(samples)
    assert both.segments(samples) == theirs
    assert both.segments(samples, size=1_234_567) == theirs
    assert len(theirs) > 20
    assert max(end - start for start, end in theirs) > 15_000
