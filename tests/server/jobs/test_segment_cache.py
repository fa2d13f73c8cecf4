"""What the model said once is not computed again, wherever a run was killed."""

from __future__ import annotations

import io
import json
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
from overtone.server.jobs.segment_cache import Evidence, SegmentCheckpoint, evidence
from overtone.server.jobs.segment_codec import RECALLED, decode, encode
from overtone.types import EmotionOutput, ModelOutput, SpeakerEmbeddings, TokenOutput

DIM = 3


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
    with kept(path) as answers:
        answers.keep(digest_of(samples(5)), output(5))
        mine = list(path.parent.glob("0000.answers*"))
        assert len(mine) == 3
        assert {stat.S_IMODE(one.stat().st_mode) for one in mine} == {0o600}
    assert list(path.parent.iterdir()) == [path]


def test_the_documented_size(path):
    emotion = EmotionOutput(250, np.zeros(768), device="cpu")
    words = TokenOutput(np.zeros(25, np.int32), np.zeros((25, 2), np.int32), np.zeros(25, np.float32), device="cpu")
    for answer, most_bytes in ((emotion, 62e6), (words, 8e6)):
        with kept(path) as answers:
            for number in range(720):
                answers.keep(number.to_bytes(16, "big"), answer)
        assert 0.75 * most_bytes < 10 * path.stat().st_size < most_bytes
        answers.remove()


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
        answers.begin(b"d" * 16)
        answers.keep(b"d" * 16, EmotionOutput(1, np.zeros(DIM), frames=np.zeros((1, DIM), np.float32)))
        assert answers.recall(b"d" * 16) is None
        assert len(answers) == 0
    assert evidence(path, 1) == Evidence(progress=True)


def test_the_first_answer_stays(path):
    with kept(path) as answers:
        answers.keep(b"d" * 16, output(0))
        answers.keep(b"d" * 16, output(1))
        assert answers.recall(b"d" * 16).count == 1
        assert len(answers) == 1


def recalled_or_missed(path: Path, count: int) -> int:
    """How many answers are still known; each is either whole or not there, and can be kept again."""
    with kept(path) as answers:
        found = 0
        for number in range(count):
            if answers.recall(digest_of(samples(number))) is None:
                answers.keep(digest_of(samples(number)), output(number))
            else:
                found += 1
            check(answers, range(number, number + 1))
    return found


def test_cut_anywhere(path):
    fill(path, 3)
    whole = path.read_bytes()
    for size in (0, 1, 15, 16, 99, 100, *range(101, len(whole), 1777), len(whole) - 1):
        path.write_bytes(whole[:size])
        recalled_or_missed(path, 3)
        with kept(path) as answers:
            check(answers, range(3))


def test_a_changed_byte_is_a_miss_and_never_another_answer(path):
    fill(path, 3)
    whole = path.read_bytes()
    answer = whole.index(encode(output(1)))
    places = {*range(answer, answer + len(encode(output(1))), 9), *range(0, 100, 7), *range(100, len(whole), 311)}
    missed = 0
    for place in sorted(places):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        missed += recalled_or_missed(path, 3) < 3
    assert missed > len(encode(output(1))) / 9


def test_broken_while_it_is_used(path):
    fill(path, 60)
    with kept(path) as answers:
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\x55" * (len(content) - 4096))
        for number in range(60):
            if answers.recall(digest_of(samples(number))) is not None:
                check(answers, range(number, number + 1))
            answers.keep(digest_of(samples(number)), output(number))
    recalled_or_missed(path, 60)
    assert recalled_or_missed(path, 60) == 60


def test_the_log_of_an_older_version_is_dropped(path):
    path.write_bytes(b"OVTNSAID" + bytes(500))
    assert recalled_or_missed(path, 2) == 0
    assert recalled_or_missed(path, 2) == 2


@pytest.mark.parametrize("other", ["tiny bf16", ""])
def test_answers_of_another_model_are_dropped(path, other):
    fill(path, 3)
    with kept(path, other) as answers:
        assert len(answers) == 0
        assert answers.recall(digest_of(samples(0))) is None
    with kept(path) as answers:
        assert len(answers) == 0


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
    with kept(path) as again:
        assert len(again) == 1
    answers.remove()
    answers.remove()
    assert not path.exists()
    kept(path).remove()
    assert list(path.parent.iterdir()) == []


def test_a_full_disk_ends_the_keeping_and_nothing_else(path, caplog):
    fill(path, 1)
    answers = kept(path)
    answers._connection.execute("PRAGMA max_page_count = 1")
    large = EmotionOutput(1, np.zeros(10_000), device="cpu")
    for number in range(1, 4):
        answers.keep(digest_of(samples(number)), large)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: answers are not kept any more (database or disk is full)"
    ]
    assert answers.recall(digest_of(samples(0))) is None
    answers.close()
    with kept(path) as answers:
        assert len(answers) == 1
        check(answers, range(1))


def test_a_disk_that_ends_within_a_row(path, caplog):
    """As before the largest size that a file may have."""
    fill(path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    answers = kept(path)
    try:
        log = path.with_name(path.name + "-wal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 100, before[1]))
        answers.keep(digest_of(samples(1)), output(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert ["kept any more" in record.getMessage() for record in caplog.records] == [True]
    answers.close()
    assert recalled_or_missed(path, 2) == 1


def test_where_it_cannot_be_made_nothing_is_kept(path, caplog):
    with kept(path / "x") as answers:
        answers.keep(digest_of(samples(0)), output(0))
        assert answers.recall(digest_of(samples(0))) is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path / 'x'}: answers are not kept any more (")


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
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), encoding="utf-8") as child:
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


def start(path: Path, number: int) -> SegmentCheckpoint:
    return SegmentCheckpoint(path, fingerprint="tiny fp32", start=number)


ONE, OTHER = digest_of(samples(1)), digest_of(samples(2))


def test_what_a_start_leaves(path):
    assert evidence(path, 1) == Evidence()  # it was killed before anything began
    with start(path, 1):
        assert evidence(path, 1) == Evidence(begun=True)  # the audio was being opened
    with start(path, 2) as answers:
        answers.begin(ONE)
        assert not answers.progressed
        assert evidence(path, 2) == Evidence(begun=True, in_batch=True)  # a segment was under way
        answers.keep(ONE, output(1))
        assert answers.progressed
        assert evidence(path, 2) == Evidence(progress=True)  # and came out
    with start(path, 3) as answers:
        assert answers.recall(ONE) is not None
        answers.begin(OTHER)
        assert not answers.progressed
        assert evidence(path, 3) == Evidence(begun=True, in_batch=True)
    with start(path, 4) as answers:
        answers.begin(OTHER)
        answers.keep(OTHER, output(2))
        assert evidence(path, 4) == Evidence(progress=True)
    with start(path, 5):
        assert evidence(path, 5) == Evidence()  # all is known, and its record was being written


def test_a_file_with_frames_goes_on_though_none_are_kept(path):
    """It begins anew each time; where a kill comes earlier than one before, only what never came out is blamed."""
    with_frames = EmotionOutput(1, np.zeros(DIM), frames=np.zeros((1, DIM), np.float32))
    with start(path, 1) as answers:
        for digest in (ONE, OTHER):
            answers.begin(digest)
            answers.keep(digest, with_frames)
        assert answers.progressed
        answers.begin(b"third")
        assert evidence(path, 1) == Evidence(progress=True, begun=True, in_batch=True)
    with start(path, 2) as answers:
        answers.begin(ONE)
        assert evidence(path, 2) == Evidence()
    with start(path, 3) as answers:
        for digest in (ONE, OTHER):
            answers.begin(digest)
            answers.keep(digest, with_frames)
        answers.begin(b"third")
        assert not answers.progressed
        assert evidence(path, 3) == Evidence(begun=True, in_batch=True)


def test_nothing_is_left_where_it_cannot_be_read(path):
    path.write_bytes(b"RIFF" * 100)
    assert evidence(path, 1) == Evidence()
    path.unlink()
    path.mkdir()
    assert evidence(path, 1) == Evidence()
