"""A model in a fork of its process: it says so at once, and the first process goes on as before."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers.clips import EXAMPLES, voice
from helpers.command import environment
from helpers.converting import convert
from helpers.oracles import campplus, ct_transformer, fsmn_vad, paraformer
from overtone import Audio, EmotionRecognizer, UsageError
from overtone.compat import AutoModel

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # what this is about

ANGRY = str(EXAMPLES / "angry.wav")

LONGEST_S = 30
"""A fork that hangs is ended after this, and fails."""


def in_fork(function: Callable[[], object]) -> str:
    """The message of the UsageError that a function raises in a fork; "nothing" if it returns."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        signal.alarm(LONGEST_S)
        said = "nothing"
        try:
            function()
        except UsageError as error:
            said = str(error)
        except BaseException as error:  # noqa: BLE001 - the parent shows it
            said = repr(error)
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as answer:
        said = answer.read()
    assert os.waitpid(child, 0)[1] == 0
    return said


@pytest.fixture(scope="module")
def own(small_checkpoint: Path) -> Iterator[EmotionRecognizer]:
    with EmotionRecognizer(str(small_checkpoint), memory="4GiB") as made:
        assert made(ANGRY).ok  # so that a process that decodes is there
        yield made


def sound() -> Audio:
    return Audio(voice(1.0), 16_000)


WAYS: dict[str, Callable[[EmotionRecognizer], object]] = {
    "call": lambda own: own(sound()),
    "call a file": lambda own: own(ANGRY),
    "results_for": lambda own: own.results_for(sound()),
    "stream": lambda own: own.stream([sound()]),
    "probe": lambda own: own.probe(ANGRY),
    "live": lambda own: own.live(),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_into_a_recognizer_says_that_this_is_a_fork(own: EmotionRecognizer, way: str) -> None:
    said = in_fork(lambda: WAYS[way](own))
    assert said.startswith(f"this model was made in process {os.getpid()}, of which this one is a fork")
    assert "make one in each process" in said
    assert "'spawn'" in said


def test_what_was_begun_before_the_fork_says_so_too(own: EmotionRecognizer) -> None:
    session = own.live(hop=1.0)
    (update,) = session.push(voice(1.0))
    stream = own.stream([ANGRY, ANGRY, ANGRY])
    assert next(stream).ok
    for use in (
        lambda: session.push(np.zeros(16_000, np.float32)),
        lambda: session.poll(update),
        session.finish,
        lambda: next(stream),
    ):
        assert "is a fork" in in_fork(use)
    assert in_fork(stream.close) == "nothing"  # type: ignore[attr-defined] # a generator
    assert [result.ok for result in stream] == [True, True]
    session.poll(update)
    assert session.finish().duration == 1.0


def test_a_fork_that_closes_or_drops_a_recognizer_ends_nothing_of_the_first_process(small_checkpoint: Path) -> None:
    own = EmotionRecognizer(str(small_checkpoint), memory="4GiB")
    expected = own(ANGRY).label
    pools = own.runtime.decoder_pools
    assert pools is not None
    decoding = pools.pids

    def leave_it() -> None:
        with own:
            pass

    def drop_it() -> None:
        nonlocal own
        del own
        gc.collect()

    for leave in (leave_it, lambda: own.close(drain=True), lambda: own.close(drain=False), drop_it):
        assert in_fork(leave) == "nothing"
        assert pools.pids == decoding
        assert own(ANGRY).label == expected
    assert pools.pids == decoding
    own.close()


@pytest.fixture(scope="module")
def speech_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("alone")
    made = {
        "vad": str(fsmn_vad.publish(root / "vad")),
        "punctuation": str(ct_transformer.publish(root / "punctuation")),
        "speakers": str(campplus.publish(root / "speakers")),
        "recognizer": str(paraformer.publish(root / "paraformer", kind="BiCifParaformer")),
    }
    convert(*made.values())
    return {**made, "emotion": "tiny"}


@pytest.mark.parametrize("kind", ["vad", "punctuation", "speakers", "recognizer", "emotion"])
def test_every_model_of_automodel_says_that_this_is_a_fork(speech_models: dict[str, str], kind: str) -> None:
    model = AutoModel(speech_models[kind], device="cpu", memory="4GiB", disable_update=True)
    given: list[object] = ["今天天气真好"] if kind == "punctuation" else [voice(2.0), ANGRY]
    expected = [model.generate(one, key="a") for one in given]
    for one in given:
        assert f"made in process {os.getpid()}" in in_fork(lambda one=one: model.generate(one, key="a"))

    def drop_it() -> None:
        nonlocal model
        del model
        gc.collect()

    assert in_fork(model.close) == "nothing"
    assert in_fork(drop_it) == "nothing"
    assert str([model.generate(one, key="a") for one in given]) == str(expected)
    model.close()


def labels_of(recognizer: EmotionRecognizer, answers: multiprocessing.Queue[str]) -> None:
    """Work of a worker."""
    try:
        answers.put(str(recognizer(ANGRY).label))
    except UsageError as error:
        answers.put(str(error))


def test_a_worker_of_multiprocessing_says_it(own: EmotionRecognizer) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[str] = context.Queue()
    worker = context.Process(target=labels_of, args=(own, answers))
    worker.start()
    try:
        assert "is a fork" in answers.get(timeout=LONGEST_S)
        worker.join(LONGEST_S)
        assert worker.exitcode == 0
    finally:
        worker.kill()
    assert own(ANGRY).ok


PRELOADED = """
import os, signal, sys
from overtone import EmotionRecognizer

recognizer = EmotionRecognizer("tiny", memory="2GiB")
expected = recognizer(sys.argv[1]).label
if (child := os.fork()) == 0:
    signal.alarm(60)
    with EmotionRecognizer("tiny", memory="2GiB") as own:
        sys.exit(0 if own(sys.argv[1]).label == expected else 1)
assert os.waitpid(child, 0)[1] == 0
assert recognizer(sys.argv[1]).label == expected
"""


def test_a_fork_makes_a_model_for_itself_and_ends_as_any_process() -> None:
    """As a server does that loads a model before its workers are forked: all that Python does at an exit is done."""
    subprocess.run([sys.executable, "-c", PRELOADED, ANGRY], env=environment(), check=True, timeout=240)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_model_is_not_copied(own: EmotionRecognizer, copied: Callable[[object], object]) -> None:
    with pytest.raises(UsageError, match="cannot be pickled or copied; make one in each process"):
        copied(own)


def test_a_model_of_automodel_is_not_pickled(speech_models: dict[str, str]) -> None:
    model = AutoModel(speech_models["vad"], device="cpu", disable_update=True)
    with pytest.raises(UsageError, match="cannot be pickled"):
        pickle.dumps(model)
    model.close()
