"""Decoding in other processes: the same samples, the same errors, and nothing left behind."""

from __future__ import annotations

import errno
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from helpers.audio_files import encoded, voice, wav, wav16
from helpers.clips import EXAMPLES
from helpers.headers import with_subtitles
from overtone import EmotionRecognizer
from overtone.audio import Decoder, DecoderPool, Readable, probe
from overtone.errors import InputError, ModelError, UsageError
from overtone.types import Audio


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    before = children()
    made = DecoderPool(1)
    yield made
    made.close()
    assert children() == before


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def decoded(source: Readable, pool: DecoderPool | None) -> tuple[np.ndarray, dict[str, object]]:
    with Decoder(source, pool=pool) as decoder:
        blocks = np.concatenate(list(decoder.channel_blocks()), axis=1)
        names = ("name", "channels", "rate", "codec", "container", "claimed_s", "decoded_s", "warnings")
        return blocks, {name: getattr(decoder, name) for name in names}


FILES: dict[str, Callable[[], bytes]] = {
    "16 kHz": lambda: wav16(voice(3.3)),
    "stereo at 44.1 kHz": lambda: wav16(voice(2.1, rate=44_100, channels=2), 44_100),
    "flac": lambda: encoded(voice(1.7, rate=22_050), 22_050, "flac", "flac"),
    "with subtitles": lambda: with_subtitles(encoded(voice(1.0), 16_000, "matroska", "flac")),
    "cut short": lambda: wav16(voice(4.0))[:60_000],
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_samples_and_what_is_said_of_them_are_the_same(
    pool: DecoderPool, tmp_path: Path, make: Callable[[], bytes]
) -> None:
    path = tmp_path / "call.bin"
    path.write_bytes(make())
    (there, said_there), (here, said_here) = decoded(path, pool), decoded(str(path), None)
    assert np.array_equal(there, here)
    assert said_there == said_here


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: folder / "none.wav",
        lambda folder: "http://example.org/a.wav",
        lambda folder: folder,
        lambda folder: written(folder / "empty.wav", b""),
        lambda folder: written(folder / "text.wav", b"not audio at all" * 100),
        lambda folder: written(folder / "nan.wav", wav(np.full((1, 16_000), np.nan, np.float32))),
    ],
)
def test_an_error_there_is_the_same_error_here(
    pool: DecoderPool, tmp_path: Path, make: Callable[[Path], str | Path]
) -> None:
    good = written(tmp_path / "good.wav", wav16(voice(1.0)))
    decoded(good, pool)
    errors = []
    for where in (pool, None):
        with pytest.raises(InputError) as caught:
            decoded(make(tmp_path), where)
        errors.append((str(caught.value), caught.value.code))
    assert errors[0] == errors[1]
    at_work = children()
    assert decoded(good, pool)[0].shape == (1, 16_000)
    assert children() == at_work  # the process that met the error serves on


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_process_that_is_killed_is_one_clear_error_and_is_replaced(pool: DecoderPool, tmp_path: Path) -> None:
    path = written(tmp_path / "long.wav", wav16(voice(120.0)))
    before = children()
    with Decoder(path, pool=pool) as decoder:
        blocks = decoder.channel_blocks()
        next(blocks)
        (process,) = children() - before
        os.kill(process, 9)
        with pytest.raises(InputError, match=r"long.wav: the process that decoded it died \(exit -9\)") as caught:
            list(blocks)
    assert caught.value.code == "decoder_died"
    assert np.array_equal(decoded(path, pool)[0], decoded(path, None)[0])
    # Killed while it waits for work, it is nobody's error.
    (idle,) = children() - before
    os.kill(idle, 9)
    assert decoded(path, pool)[0].shape == (1, 120 * 16_000)


def test_a_source_that_was_closed_gives_nothing_of_the_next(pool: DecoderPool, tmp_path: Path) -> None:
    short, long = wav16(voice(1.0)), wav16(voice(60.0))
    with Decoder(short, pool=pool) as closed:
        blocks = closed.channel_blocks()
        next(blocks)
    with Decoder(long, pool=pool) as decoder:
        others = decoder.channel_blocks()
        next(others)
        with pytest.raises(UsageError, match="closed while"):
            list(blocks)
        assert sum(block.shape[1] for block in others) == 59 * 16_000


def test_a_source_that_is_left_holds_neither_process_nor_place(pool: DecoderPool, tmp_path: Path) -> None:
    path = written(tmp_path / "long.wav", wav16(voice(60.0)))
    for _ in range(3):  # there is one place: any that were not given back would be waited for
        with Decoder(path, pool=pool) as decoder:
            next(decoder.channel_blocks())
    assert decoded(path, pool)[0].shape == (1, 60 * 16_000)


@pytest.mark.parametrize("kind", ["path", "bytes", "piped"])
def test_reading_a_header_leaves_its_process_for_the_next(pool: DecoderPool, tmp_path: Path, kind: str) -> None:
    data = wav16(voice(60.0, channels=2))
    path, before = written(tmp_path / "long.wav", data), children()
    # A pipe is used up by whoever reads of it.
    sources: dict[str, Callable[[], Any]] = {"path": lambda: path, "bytes": lambda: data, "piped": lambda: Piped(data)}
    seen = []
    for _ in range(3):
        assert probe(sources[kind](), "a", pool) == probe(sources[kind](), "a")
        with pytest.raises(InputError, match="b: not audio"):
            probe(b"no audio" * 100, "b", pool)
        seen.append(children() - before)
    assert len(seen[0]) == 1
    assert seen == [seen[0]] * 3
    assert np.array_equal(decoded(path, pool)[0], decoded(path, None)[0])
    assert children() - before == seen[0]


def test_of_a_header_no_samples_are_had(pool: DecoderPool) -> None:
    for where in pool, None:
        with (
            Decoder(wav16(voice(1.0)), pool=where, header_only=True) as decoder,
            pytest.raises(UsageError, match="open a new one"),
        ):
            next(decoder.channel_blocks())


@pytest.mark.skipif(not hasattr(psutil.Process, "io_counters"), reason="this system does not count what is read")
def test_little_is_decoded_ahead(pool: DecoderPool, tmp_path: Path) -> None:
    path, before = written(tmp_path / "long.wav", wav16(voice(600.0))), children()
    decoded(
        written(tmp_path / "short.wav", wav16(voice(1.0))), pool
    )  # what the process reads of libraries, it has read
    process = psutil.Process((children() - before).pop())
    had_read, spent = process.io_counters().read_chars, -1.0
    with Decoder(path, pool=pool) as decoder:
        next(decoder.channel_blocks())
        while spent != (spent := sum(process.cpu_times()[:2])):
            time.sleep(0.3)  # until it stands still, which only time shows
        assert process.io_counters().read_chars - had_read < path.stat().st_size / 10


class Piped:
    """A file that cannot seek, and has no place in the system."""

    def __init__(self, data: bytes) -> None:
        self._left = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._left.read(min(size, 1000))


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_bytes_and_files_of_any_kind_are_decoded_there_too(
    pool: DecoderPool, tmp_path: Path, make: Callable[[], bytes]
) -> None:
    data = make()
    path = written(tmp_path / "call.bin", b"before" + data)
    expected = decoded(data, None)[0]
    with open(path, "rb") as buffered, open(path, "rb", buffering=0) as raw:
        for source in (io.BytesIO(data), data, buffered, raw):
            if source in (buffered, raw):
                source.read(6)  # type: ignore[union-attr] # it is read from where it stands
            assert np.array_equal(decoded(source, pool)[0], expected)
        assert not buffered.closed
        assert not raw.closed
    piped = decoded(Piped(data), pool)[0]  # type: ignore[arg-type]
    assert np.array_equal(piped, decoded(Piped(data), None)[0])  # type: ignore[arg-type]


def test_a_faulty_file_object_gives_the_error_that_it_gives_here(pool: DecoderPool) -> None:
    class Broken:
        def read(self, size: int) -> Any:
            raise OSError("the tape is torn")

    class Text:
        def read(self, size: int) -> Any:
            return "text"

    for source in (Broken(), Text(), io.BytesIO()):
        errors = []
        for where in (pool, None):
            with pytest.raises(InputError) as caught:
                decoded(source, where)  # type: ignore[arg-type]
            errors.append((str(caught.value), caught.value.code))
        assert errors[0] == errors[1]


def test_an_interrupt_while_a_file_object_is_read_is_raised(pool: DecoderPool) -> None:
    class Interrupted:
        def read(self, size: int) -> bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoded(Interrupted(), pool)  # type: ignore[arg-type]
    assert decoded(wav16(voice(1.0)), pool)[0].shape == (1, 16_000)


def test_a_process_that_cannot_be_started_is_one_clear_error(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", refuse)
        with pytest.raises(ModelError, match=r"could not be started \(.*unavailable\); allow more processes"):
            Decoder(wav16(voice(1.0)), pool=pool)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "")
        with pytest.raises(UsageError, match=r"sys\.executable names none; set it"):
            Decoder(wav16(voice(1.0)), pool=pool)
    assert decoded(wav16(voice(1.0)), pool)[1]["decoded_s"] == 1.0


def test_ctrl_c_does_not_reach_a_process_that_starts(pool: DecoderPool, capfd: pytest.CaptureFixture[str]) -> None:
    pool.start()
    for pid in pool.pids:
        os.kill(pid, signal.SIGINT)
    before = pool.pids
    assert decoded(wav16(voice(1.0)), pool)[1]["decoded_s"] == 1.0
    assert pool.pids == before
    assert capfd.readouterr().err == ""


def test_an_array_is_decoded_here(pool: DecoderPool) -> None:
    before = children()
    assert decoded(Audio(voice(1.0)[0], 16_000), pool)[0].shape == (1, 16_000)
    assert children() == before


def test_a_pool_that_is_closed_breaks_off_and_takes_no_more(tmp_path: Path) -> None:
    pool, path = DecoderPool(1), written(tmp_path / "long.wav", wav16(voice(120.0)))
    before = children()
    said: list[type[Exception]] = []

    def second() -> None:
        try:
            decoded(path, pool)
        except UsageError as error:
            said.append(type(error))

    with Decoder(path, pool=pool) as decoder:
        blocks = decoder.channel_blocks()
        next(blocks)
        waiting = threading.Thread(target=second)
        waiting.start()
        pool.close()
        with pytest.raises(UsageError, match="closed"):
            list(blocks)
    waiting.join(10)
    assert said == [UsageError]
    assert children() == before


def test_answers_are_the_same_and_closing_ends_the_processes(
    small_checkpoint: Path, recognizer: EmotionRecognizer
) -> None:
    before = children()
    with EmotionRecognizer(str(small_checkpoint), memory="4GiB", decoders=2) as own:
        assert len(children() - before) == 1  # started beside the model's load
        sources = [EXAMPLES / "angry.wav", EXAMPLES / "none.wav", EXAMPLES / "call.mp3"]
        ours = list(own.stream(sources))
        assert len(children() - before) in (1, 2)
    assert children() == before
    for result, expected in zip(ours, recognizer.stream(sources), strict=True):
        assert result.scores == (None if expected.scores is None else pytest.approx(expected.scores, abs=1e-6))
        assert str(result.error) == str(expected.error)


def test_threads_decode_where_that_is_asked_for(small_checkpoint: Path) -> None:
    before = children()
    with EmotionRecognizer(str(small_checkpoint), memory="4GiB", decode="threads") as own:
        assert own(EXAMPLES / "angry.wav").ok
        assert children() == before
