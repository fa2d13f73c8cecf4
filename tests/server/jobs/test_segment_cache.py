"""What the model said once is not computed again, wherever a run was killed."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from helpers.command import environment
from overtone.server.jobs import segment_cache as rooms
from overtone.server.jobs.segment_cache import SegmentCheckpoint
from overtone.server.jobs.segment_codec import RECALLED, decode, encode
from overtone.types import EmotionOutput, ModelOutput, SpeakerEmbeddings, TokenOutput

DIM = 3
HEADER_BYTES = 28


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0000.answers"


def kept(path: Path, fingerprint: str = "tiny fp32") -> SegmentCheckpoint:
    return SegmentCheckpoint(path, fingerprint=fingerprint)


def digest_of(samples: np.ndarray, question: str = "emotion None") -> bytes:
    return rooms.digest_of(question, samples)


def samples(number: int) -> np.ndarray:
    return np.full(80, number, np.float32)


def output(number: int) -> EmotionOutput:
    return EmotionOutput(
        number + 1, np.arange(DIM) / 3 + number, wait_s=1.0, run_s=2.0, notes=("halved",), device="cuda:11"
    )


RECORD_BYTES = 16 + 4 + len(encode(output(0))) + 4
"""The same for every `output` below ten."""


def fill(path: Path, count: int) -> None:
    with kept(path) as answers:
        for number in range(count):
            answers.keep(digest_of(samples(number)), output(number))


def check(answers: SegmentCheckpoint, numbers: range) -> None:
    for number in numbers:
        said = answers.recall(digest_of(samples(number)))
        assert said is not None
        assert said.count == number + 1
        assert said.total.dtype == np.float64
        np.testing.assert_array_equal(said.total, output(number).total)
        assert said.frames is None
        assert (said.wait_s, said.run_s, said.notes, said.device) == (0, 0, (RECALLED,), "cuda:11")


def test_kept_and_recalled(path):
    with kept(path) as answers:
        assert answers.recall(digest_of(samples(0))) is None
        answers.keep(digest_of(samples(0)), output(0))
        check(answers, range(1))
    fill(path, 5)
    with kept(path) as answers:
        check(answers, range(5))
        assert len(answers) == 5
        assert answers.recall(digest_of(samples(5))) is None
        answers.recall(digest_of(samples(0))).total[0] = 9  # the caller's own
        check(answers, range(5))
    assert path.stat().st_size == HEADER_BYTES + 5 * RECORD_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_documented_size():
    emotion = len(encode(EmotionOutput(250, np.zeros(768), device="cpu"))) + 24
    words = TokenOutput(np.zeros(25, np.int32), np.zeros((25, 2), np.int32), np.zeros(25, np.float32), device="cpu")
    assert pytest.approx(46e6, rel=0.03) == 7200 * emotion
    assert 7200 * (len(encode(words)) + 24) < 8e6


LAST_BITS = EmotionOutput(1 << 40, np.array([np.nan, -0.0, 5e-324]), device="a name of any length that there is")
HEARD = TokenOutput(
    np.array([3, 1, 4], np.int32),
    np.array([[0, 60], [60, 120], [300, 301]], np.int32),
    np.array([0.5, np.nan, 1e-30], np.float32),
    ("<|zh|>", "<|HAPPY|>"),
    wait_s=1.0,
    run_s=2.0,
    notes=("halved",),
    device="cpu",
)
NOTHING_HEARD = TokenOutput(np.zeros(0, np.int32), None, np.zeros(0, np.float32), device="cpu")
VOICES = SpeakerEmbeddings(
    np.arange(384, dtype=np.float32).reshape(2, 192), np.array([[0, 9], [9, 18]], np.int32), device="cpu"
)


@pytest.mark.parametrize("answer", [output(0), LAST_BITS, HEARD, NOTHING_HEARD, VOICES])
def test_what_any_model_says_is_kept_to_the_last_bit(path: Path, answer: ModelOutput) -> None:
    with kept(path) as answers:
        answers.keep(b"d" * 16, answer)
    with kept(path) as answers:
        said = answers.recall(b"d" * 16)
    assert type(said) is type(answer)
    assert (said.wait_s, said.run_s, said.notes, said.device) == (0, 0, (RECALLED,), answer.device)
    for name in set(type(answer).__slots__) - set(ModelOutput.__slots__):
        mine, theirs = getattr(answer, name), getattr(said, name)
        if isinstance(mine, np.ndarray):
            assert (mine.dtype, mine.shape, mine.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())
            assert theirs.flags.writeable
        else:
            assert mine == theirs


def test_nothing_in_an_answer_is_executed():
    """Arrays of objects are what NumPy would unpickle."""
    head = json.dumps({"kind": "Output", "arrays": ["total"], "told": {"count": 1, "device": ""}}).encode() + b"\n"
    with pytest.raises(ValueError, match="Object arrays"):
        decode(head + object_array())


def object_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([print], object), allow_pickle=True)
    return file.getvalue()


def test_questions_tell_answers_apart(path: Path) -> None:
    with kept(path) as answers:
        answers.keep(digest_of(samples(0), "recognizer zh"), HEARD)
        answers.keep(digest_of(samples(0), "speakers None"), VOICES)
        assert isinstance(answers.recall(digest_of(samples(0), "recognizer zh")), TokenOutput)
        assert isinstance(answers.recall(digest_of(samples(0), "speakers None")), SpeakerEmbeddings)
        assert answers.recall(digest_of(samples(0), "recognizer en")) is None


def test_digests_tell_segments_apart():
    assert len(digest_of(samples(0))) == 16
    assert digest_of(samples(0)) == digest_of(np.zeros(160, np.float32)[::2])
    # A sign, a length, the last bit.
    last_bit = np.nextafter(samples(0), np.float32(1))
    others = [samples(0), samples(0) * -1, samples(0)[:-1], last_bit, samples(0)[:0]]
    assert len({digest_of(other) for other in others}) == 5


def test_an_answer_with_frames_is_not_kept(path):
    with kept(path) as answers:
        answers.keep(b"d" * 16, EmotionOutput(1, np.zeros(DIM), frames=np.zeros((1, DIM), np.float32)))
        assert answers.recall(b"d" * 16) is None
    assert path.stat().st_size == HEADER_BYTES


def test_the_first_answer_stays(path):
    with kept(path) as answers:
        answers.keep(b"d" * 16, output(0))
        answers.keep(b"d" * 16, output(1))
        assert answers.recall(b"d" * 16).count == 1
    assert path.stat().st_size == HEADER_BYTES + RECORD_BYTES


def test_torn_at_every_byte(path):
    fill(path, 3)
    whole = path.read_bytes()
    for size in range(HEADER_BYTES + 2 * RECORD_BYTES, len(whole)):
        path.write_bytes(whole[:size])
        with kept(path) as answers:
            assert len(answers) == 2, f"torn after {size} bytes"
            check(answers, range(2))
            assert path.stat().st_size == HEADER_BYTES + 2 * RECORD_BYTES
            answers.keep(digest_of(samples(2)), output(2))
        assert path.read_bytes() == whole


def test_a_header_torn_at_every_byte(path):
    fill(path, 0)
    whole = path.read_bytes()
    assert len(whole) == HEADER_BYTES
    for size in range(HEADER_BYTES):
        path.write_bytes(whole[:size])
        fill(path, 1)
        with kept(path) as answers:
            check(answers, range(1))


def test_any_changed_byte_is_noticed(path):
    fill(path, 2)
    whole = path.read_bytes()
    for place in range(HEADER_BYTES, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with kept(path) as answers:
            # What follows a broken record is not trusted.
            assert len(answers) == (place - HEADER_BYTES) // RECORD_BYTES


def test_a_tail_of_zeros(path):
    """As a loss of power leaves it."""
    fill(path, 2)
    with path.open("ab") as file:
        file.write(bytes(5 * RECORD_BYTES))
    with kept(path) as answers:
        assert len(answers) == 2
        check(answers, range(2))


@pytest.mark.parametrize("other", ["tiny bf16", ""])
def test_answers_of_another_model_are_dropped(path, other):
    fill(path, 3)
    with kept(path, other) as answers:
        assert len(answers) == 0
        assert answers.recall(digest_of(samples(0))) is None
    assert path.stat().st_size == HEADER_BYTES


def test_a_file_of_another_kind_is_begun_anew(path):
    path.write_bytes(b"RIFF" * 100)
    fill(path, 1)
    with kept(path) as answers:
        check(answers, range(1))


def test_closed_and_removed(path):
    answers = kept(path)
    answers.keep(b"d" * 16, output(0))
    answers.close()
    answers.close()
    assert answers.recall(b"d" * 16) is None
    answers.keep(b"e" * 16, output(0))
    assert path.stat().st_size == HEADER_BYTES + RECORD_BYTES
    answers.remove()
    answers.remove()
    assert not path.exists()
    kept(path).remove()
    assert not path.exists()


def test_a_full_disk_ends_the_keeping_and_nothing_else(path, monkeypatch, caplog):
    fill(path, 1)
    answers = kept(path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("overtone.server.jobs.segment_cache._write", full)
    for number in range(1, 4):
        answers.keep(digest_of(samples(number)), output(number))
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: answers are not kept any more ([Errno 28] No space left on device)"
    ]
    assert answers.recall(digest_of(samples(0))) is None
    answers.close()
    monkeypatch.undo()
    with kept(path) as answers:
        assert len(answers) == 1
        check(answers, range(1))


def test_a_record_that_is_written_in_part(path, caplog):
    """As the last one before the disk is full: here, before the largest size that a file may have."""
    fill(path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    answers = kept(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + RECORD_BYTES // 2, before[1]))
        answers.keep(digest_of(samples(1)), output(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert ["kept any more" in record.getMessage() for record in caplog.records] == [True]
    answers.close()
    assert HEADER_BYTES + RECORD_BYTES < path.stat().st_size < HEADER_BYTES + 2 * RECORD_BYTES
    fill(path, 2)
    with kept(path) as answers:
        check(answers, range(2))


def test_where_it_cannot_be_made_nothing_is_kept(path, caplog):
    with kept(path / "x") as answers:
        answers.keep(digest_of(samples(0)), output(0))
        assert answers.recall(digest_of(samples(0))) is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path / 'x'}: answers are not kept any more ([Errno 2]")


def test_many_threads(path):
    with kept(path) as answers, ThreadPoolExecutor(8) as threads:

        def work(number: int) -> None:
            answers.keep(digest_of(samples(number % 50)), output(number % 50))
            check(answers, range(number % 50, number % 50 + 1))

        for future in [threads.submit(work, number) for number in range(200)]:
            future.result()
    with kept(path) as answers:
        assert len(answers) == 50
        check(answers, range(50))


KILLED = """
import itertools, sys
from pathlib import Path
import numpy as np
from overtone.server.jobs.segment_cache import SegmentCheckpoint, digest_of
from overtone.types import EmotionOutput

answers = SegmentCheckpoint(Path(sys.argv[1]), fingerprint="tiny fp32")
for number in itertools.count(len(answers)):
    said = EmotionOutput(number + 1, np.arange(3) / 3 + number, device="cuda:11")
    answers.keep(digest_of("emotion None", np.full(80, number, np.float32)), said)
    print(number, flush=True)
"""


def test_killed_while_keeping(path):
    for _ in range(2):
        command = [sys.executable, "-c", KILLED, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as child:
            assert child.stdout is not None
            numbers = []
            for line in child.stdout:
                numbers.append(int(line))
                if len(numbers) == 100:
                    child.kill()
            child.wait(60)
        with kept(path) as answers:
            assert len(answers) >= numbers[-1] + 1 >= 100
            check(answers, range(numbers[-1] + 1))
