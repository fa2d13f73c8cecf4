from __future__ import annotations

import numpy as np
import pytest

from overtone.segmentation.levels import LevelStream, frame_levels, is_silent
from overtone.segmentation.voiced_frames import FRAME


def buzz(samples: int, peak: float) -> np.ndarray:
    """A square wave at half the sampling rate: its mean square is that of its peak, and its mean is none."""
    return np.resize(np.array([peak, -peak], np.float32), samples)


@pytest.mark.parametrize(("peak", "silent"), [(0.0, True), (0.0009, True), (0.01, False), (0.5, False)])
@pytest.mark.parametrize("offset", [0.0, 0.5, -0.9])
def test_silence_is_a_level_never_reached_whatever_the_offset(peak: float, silent: bool, offset: float) -> None:
    samples = np.full(16_000, offset, np.float32)
    samples[8000:8400] += buzz(400, peak)
    assert is_silent(samples) is silent
    assert is_silent(samples[8000:8100]) is silent


def test_one_loud_place_of_a_long_file_is_found() -> None:
    samples = np.zeros(16_000 * 60, np.float32)
    assert is_silent(samples)
    samples[16_000 * 59 : 16_000 * 59 + 640] = buzz(640, 0.1)
    assert not is_silent(samples)


def test_levels_are_mean_squares_of_frames_without_their_mean() -> None:
    samples = np.concatenate([buzz(FRAME, 0.5), buzz(100, 0.1)])
    for offset in (0.0, 0.25):
        assert list(frame_levels(samples + np.float32(offset))) == pytest.approx([0.25, 0.01], rel=1e-4)


@pytest.mark.parametrize("size", [100, 512, 5000])
def test_levels_of_a_stream_do_not_depend_on_how_it_arrives(size: int) -> None:
    samples = np.concatenate([np.full(5 * FRAME, 0.3), buzz(3 * FRAME, 0.1), np.zeros(FRAME), buzz(200, 0.1)])
    samples = samples.astype(np.float32)
    stream = LevelStream()
    pieces = [stream.push(samples[at : at + size]) for at in range(0, len(samples), size)]
    assert np.concatenate([*pieces, stream.finish()]).tolist() == [0.0] * 5 + [1.0] * 3 + [0.0, 1.0]
