"""Streams that cannot seek: those that have to are spooled, all others are read as they come."""

from __future__ import annotations

import io
import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from helpers.audio_files import Pipe, encoded, voice, wav16
from helpers.command import finish, lines, start
from overtone.audio import Decoder, DecoderPool, probe, stream_spool
from overtone.errors import InputError, UsageError


def heard(source: object, pool: DecoderPool | None) -> np.ndarray:
    with Decoder(source, pool=pool) as decoder:  # type: ignore[arg-type]
        return np.concatenate(list(decoder.channel_blocks()), axis=1)


class Watched(Pipe):
    """A stream that counts what was read of it."""

    def __init__(self, data: bytes, most: int = 5000) -> None:
        super().__init__(data, most)
        self.bytes_read = 0

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


@pytest.mark.parametrize(
    ("container", "codec"),
    [("ipod", "aac"), ("mov", "pcm_s16le"), ("3gp", "aac"), ("mp4", "flac"), ("caf", "alac"), ("wtv", "mp2")],
)
@pytest.mark.parametrize("most", [7, 100_000])
def test_what_has_to_seek_is_read_from_a_pipe_too(
    container: str, codec: str, most: int, pool: DecoderPool | None
) -> None:
    data = encoded(voice(1.0, 48_000), 48_000, container, codec)
    assert np.array_equal(heard(Pipe(data, most), pool), heard(data, pool))


def test_the_header_of_a_stream_that_has_to_seek(pool: DecoderPool | None) -> None:
    data = encoded(voice(1.0, 48_000), 48_000, "ipod", "aac")
    assert probe(Pipe(data), "call", pool) == probe(data, "call", pool)


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("wav", "pcm_s16le", {}),
        ("mp3", "libmp3lame", {}),
        ("flac", "flac", {}),
        ("ogg", "libopus", {}),
        ("webm", "libopus", {}),
        ("adts", "aac", {}),
        ("mp4", "aac", {"movflags": "+faststart"}),
        ("mp4", "aac", {"movflags": "+frag_keyframe+empty_moov"}),
    ],
)
def test_what_can_be_read_as_it_comes_is(
    container: str, codec: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse() -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(stream_spool, "unnamed_file", refuse)
    data = encoded(voice(8.0, 48_000), 48_000, container, codec, options=options, path=tmp_path / "made")
    assert heard(Pipe(data), None).shape[1] > 7 * 16_000
    if container != "mp4":
        stream = Watched(data * 8)
        with Decoder(stream):  # type: ignore[arg-type]
            assert stream.bytes_read < len(data * 8)


def test_a_fifo_with_an_mp4(tmp_path: Path, pool: DecoderPool | None) -> None:
    data = encoded(voice(1.0, 48_000), 48_000, "ipod", "aac")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    samples = heard(fifo, pool)
    writer.join()
    assert np.array_equal(samples, heard(data, pool))


def test_a_stream_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_spool, "MAX_SPOOLED_BYTES", 1 << 21)

    class Endless:
        head = io.BytesIO(b"\0\0\0\x08ftyp\0\0\0\x08mdat")
        given = 0

        def read(self, size: int) -> bytes:
            self.given += size
            assert self.given < 1 << 25
            return self.head.read(size) or bytes(size)

    with pytest.raises(InputError, match=r"more than 2 MiB came .* save it as a file") as caught:
        Decoder(Endless(), "live")  # type: ignore[arg-type]
    assert caught.value.code == "unreadable"


def test_a_disk_that_takes_no_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(stream_spool, "unnamed_file", full)
    with pytest.raises(UsageError, match="TMPDIR") as caught:
        Decoder(Pipe(encoded(voice(0.2, 48_000), 48_000, "ipod", "aac")))  # type: ignore[arg-type]
    assert caught.value.code == "no_space"


def test_a_stream_that_breaks_is_unreadable() -> None:
    class Torn:
        def __init__(self) -> None:
            self.left = [b"\0\0\0\x08ftyp\0\0\0\x08mdat", bytes(500)]

        def read(self, size: int) -> bytes:
            if not self.left:
                raise OSError("the tape is torn")
            return self.left.pop(0)[:size]

    with pytest.raises(InputError, match="tape is torn") as caught:
        Decoder(Torn(), "call")  # type: ignore[arg-type]
    assert caught.value.code == "unreadable"


def test_the_command_reads_an_m4a_from_a_pipe(small_checkpoint: Path) -> None:
    data = encoded(voice(2.0, 48_000), 48_000, "ipod", "aac")
    child = start("emotion", "-q", "--model", small_checkpoint, "-", stdin=subprocess.PIPE)
    code, out, err = finish(child, data=data)
    assert code == 0, err
    (record,) = lines(out)
    assert record["duration"] == pytest.approx(2.0, abs=0.1)


def test_a_seekable_file_is_left_as_it_is() -> None:
    file = io.BytesIO(wav16(voice(0.1)))
    assert stream_spool.seekable(file, "call") == (file, None)
    assert file.tell() == 0
