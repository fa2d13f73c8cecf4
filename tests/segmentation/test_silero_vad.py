from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from helpers.clips import EXAMPLES, decoded
from overtone.segmentation.silero_vad import SileroVad
from overtone.segmentation.voiced_frames import FRAME


def call() -> np.ndarray:
    return decoded(EXAMPLES / "call.mp3")


def test_probabilities_equal_the_packages_own_model() -> None:
    """Silero's frame-by-frame model is the oracle; the sequence model is the same network run in blocks."""
    torch = pytest.importorskip("torch", reason="PyTorch, which the package's own model runs in, is not installed")
    from silero_vad import load_silero_vad

    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = load_silero_vad()
    torch.set_num_threads(threads)  # it sets one
    samples = call()[: FRAME * 700]
    with torch.inference_mode():
        expected = [
            float(model(torch.from_numpy(samples[i : i + FRAME]), 16_000)) for i in range(0, len(samples), FRAME)
        ]
    stream = SileroVad().stream()
    got = np.concatenate([stream.push(samples), stream.finish()])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [160, 511, 16_000, 300_000])
def test_state_is_carried_however_samples_arrive(size: int) -> None:
    samples = call()
    whole, parts = SileroVad().stream(), SileroVad().stream()
    expected = np.concatenate([whole.push(samples), whole.finish()])
    pieces = [parts.push(samples[i : i + size]) for i in range(0, len(samples), size)]
    np.testing.assert_array_equal(np.concatenate([*pieces, parts.finish()]), expected)
    assert len(expected) == -(-len(samples) // FRAME)


def test_live_speech_is_judged_frame_by_frame_and_alike() -> None:
    samples = call()[: FRAME * 300]
    vad = SileroVad()
    blocks, live = vad.stream(), vad.stream(live=True)
    expected = np.concatenate([blocks.push(samples), blocks.finish()])
    at_once = [live.push(samples[i : i + FRAME]) for i in range(0, len(samples), FRAME)]
    assert all(len(probabilities) == 1 for probabilities in at_once)
    np.testing.assert_allclose(np.concatenate(at_once), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_first_runs_in_several_threads_do_not_wait_for_each_other() -> None:
    code = """
import threading
import numpy as np
from overtone.segmentation.silero_vad import SileroVad
shared = SileroVad()
gate = threading.Barrier(4)
def run(vad):
    gate.wait()
    stream = vad.stream()
    for _ in range(3):
        stream.push(np.zeros(512 * 512, np.float32))
threads = [threading.Thread(target=run, args=(vad,)) for vad in (shared, shared, SileroVad(), SileroVad())]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    for _ in range(6):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
