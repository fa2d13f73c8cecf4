"""Speed and memory measured: contenders in processes that take turns, and speech to give them."""

from overtone.tools.benchmark.audio import bundled_speech, write_wav
from overtone.tools.benchmark.interleave import BenchmarkWorker, Timed, WorkerDied, take_turns

__all__ = ["BenchmarkWorker", "Timed", "WorkerDied", "bundled_speech", "take_turns", "write_wav"]
