"""The difference between bytes of audio files and of samples: the marks that formats begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_MARKS: Sequence[bytes] = (
    *(b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"caff", b"riff\x2e\x91\xcf\x11"),  # WAV, AVI, AIFF, CAF, W64
    *(b"fLaC", b"OggS", b"ID3", b"#!AMR", b".snd", b"NIST_1A", b"Creative Voice File", b".SoX", b"XoS."),
    *(b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"FLV\x01", b".RMF", b"\x00\x00\x01\xba"),  # Matroska, ASF, MPEG-PS
    *(b"wvpk", b"MAC ", b"TTA1", b"TTA2", b"tBaK", b"MPCK", b"MP+", b"ADIF"),
)

_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"skip")
"""Kinds of the first part of an MP4, or of an older QuickTime film, four bytes after its beginning."""

_PACKETS: Sequence[tuple[int, int]] = ((0, 188), (4, 192))
"""Of a transport stream: where the first packet is marked, and bytes from one mark to the next."""
_PACKET_MARK, _MARKED = 0x47, 4

_MPEG1_KBIT: Mapping[int, Sequence[int]] = {
    3: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_MPEG2_KBIT: Mapping[int, Sequence[int]] = {
    3: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Rates by the layer's number in a header (3 is layer I), of MPEG-1, and of MPEG-2 and 2.5: ISO/IEC 11172-3, 2.4.2.3.
"""
_MPEG_HZ: Mapping[int, Sequence[int]] = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
"""By the version's number in a header: MPEG-1, 2 and 2.5."""


def is_audio_file(data: bytes, *, frames: bool = True) -> bool:
    """True for bytes of an audio file, False for those that can only be samples.

    MP2, MP3 and AAC without a header of their file begin with a frame, whose mark is as short as a sample: one sample
    in some 6,000 looks like one. So a second one has to stand where the first says.

    frames: False where these bytes cannot begin with a frame, as a part of a stream of samples.
    """
    if data.startswith(tuple(_MARKS)) or data[4:8] in _ATOMS:
        return True
    return _is_transport_stream(data) or (frames and _begins_with_frames(data))


def _is_transport_stream(data: bytes) -> bool:
    return any(
        len(data) > first + step * (_MARKED - 1)
        and all(data[first + step * place] == _PACKET_MARK for place in range(_MARKED))
        for first, step in _PACKETS
    )


def _begins_with_frames(data: bytes) -> bool:
    for frame in (_mpeg_frame, _adts_frame):
        size, kind = frame(data, 0)
        if size:
            second_size, second_kind = frame(data, size)
            return bool(second_size) and kind == second_kind
    return False


def _mpeg_frame(data: bytes, at: int) -> tuple[int, bytes]:
    """Bytes of an MPEG audio frame, and what all frames of a file have in common; 0 where there is none."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0, b""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or bits in (0, 15) or rate == 3:
        return 0, b""
    bit_rate = 1000 * (_MPEG1_KBIT if version == 3 else _MPEG2_KBIT)[layer][bits - 1]
    padding = head[2] >> 1 & 1
    sample_rate = _MPEG_HZ[version][rate]
    if layer == 3:
        size = (12 * bit_rate // sample_rate + padding) * 4
    else:
        size = (72 if version != 3 and layer == 1 else 144) * bit_rate // sample_rate + padding
    return size, bytes((head[1] & 0x1E, rate))


def _adts_frame(data: bytes, at: int) -> tuple[int, bytes]:
    """The same of an AAC frame (ADTS): ISO/IEC 13818-7, 6.2."""
    head = data[at : at + 7]
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0, b""
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return (size if size > 7 else 0), bytes((head[1], head[2] & 0xFD, head[3] & 0xC0))
