"""Speed and memory measured: contenders in processes of their own that take turns, and speech to give them."""

from overtone.tools.benchmark.audio import bundled_speech, write_wav
from overtone.tools.benchmark.interleave import Contender, Died, Timed, take_turns

__all__ = ["Contender", "Died", "Timed", "bundled_speech", "take_turns", "write_wav"]
