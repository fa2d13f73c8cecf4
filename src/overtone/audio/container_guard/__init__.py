"""Headers read before FFmpeg reads them: oversized tags are hidden from it, impossible tables refused.

    ByteReader ─HeaderView→ id3, riff, flac, ogg, mp4, matroska, asf, ape ─Edits→ ByteReader → FFmpeg

A few hundred bytes are read, by seeking; samples are never looked at. Tags say nothing about audio, so a file loses
them and is decoded. What a header claims of its samples is audio, so a claim that cannot be true is an error.
"""

from overtone.audio.container_guard.guard import guard

__all__ = ["guard"]
