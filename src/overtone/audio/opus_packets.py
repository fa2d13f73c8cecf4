"""Opus of live streams as samples: packets one after the other, as WebRTC sends them, or in WebM."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import av
import numpy as np

from overtone.audio.av_errors import faults_as
from overtone.audio.presentation_timeline import Placement, PresentationTimeline
from overtone.audio.webm_demuxer import OpusBlock, WebmDemuxer
from overtone.errors import Code
from overtone.types import Samples

OPUS_RATE = 48_000
"""Hz. Whatever was encoded, Opus is decoded at this (RFC 6716, section 2)."""


MOST_SAMPLES = 18 * OPUS_RATE
"""Samples that one call gives at the most: more than any message holds. A hole, which a few bytes can claim to be hours
long, is given in several calls."""


class OpusStream(Protocol):
    """One stream on its way: messages in, samples out, float32 (samples,) at 48 kHz, the mean of the channels."""

    def decode(self, message: bytes) -> Samples:
        """The samples that are known with one more message. InputError for one that cannot be.

        Of `MOST_SAMPLES` there may be more, which an empty message gives.
        """

    def finish(self) -> Samples:
        """The samples that are left at the end; called again, where there are `MOST_SAMPLES`."""

    def warnings(self) -> Sequence[str]:
        """Warnings about what was filled in or left out, once it has ended."""


class OpusPackets:
    """The decoder of one stream of packets. channels: 1 or 2. name: of the stream, in errors.

    head: its `OpusHead`, where there is one, of which the gain counts. skip: samples at 48 kHz that are not to be heard
    at its start.
    """

    def __init__(self, channels: int, name: str, *, head: bytes | None = None, skip: int = 0) -> None:
        self._name = name
        self._decoder: Any = av.CodecContext.create("opus", "r")
        self._decoder.layout = "mono" if channels == 1 else "stereo"
        self._decoder.sample_rate = OPUS_RATE
        if head is not None:
            # Without its own word on what is not to be heard, which FFmpeg would leave out a second time.
            self._decoder.extradata = head[:10] + bytes(2) + head[12:]
        self.to_skip = skip
        """Samples at its start that are still to be left out."""

    def decode(self, message: bytes) -> Samples:
        """The samples of a packet; none of an empty one. InputError for a bad one."""
        return self.decode_packet(message, discard=0)

    def decode_packet(self, packet: bytes, *, discard: int) -> Samples:
        """The same without the last `discard` samples at 48 kHz."""
        if not packet:
            return np.zeros(0, np.float32)
        with faults_as(Code.BAD_SAMPLES, self._name, "a message is no Opus packet; send one packet in each"):
            frames = self._decoder.decode(av.Packet(packet))
            arrays = [frame.to_ndarray().reshape(-1, frame.samples) for frame in frames]
        mono = [array.mean(axis=0, dtype=np.float32) for array in arrays if array.size]
        if not mono:
            return np.zeros(0, np.float32)
        heard = np.nan_to_num(np.concatenate(mono))
        heard = heard[: max(0, len(heard) - discard)]
        skipped = min(self.to_skip, len(heard))
        self.to_skip -= skipped
        samples: Samples = heard[skipped:]
        return samples

    def finish(self) -> Samples:
        """None: nothing is kept back."""
        return np.zeros(0, np.float32)

    def warnings(self) -> Sequence[str]:
        """None: packets have no times."""
        return ()

    def close(self) -> None:
        """Nothing is held that has to be given back."""


class WebmOpus:
    """The decoder of one stream of WebM with Opus in it, in pieces cut anywhere. name: of the stream, in errors.

    Samples lie where a file of it has them: a hole between packets is silence, and audio whose time has passed is left
    out.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._demuxer = WebmDemuxer(name)
        self._packets: OpusPackets | None = None
        self._timeline = PresentationTimeline(None)
        self._unplaced: deque[Samples] = deque()
        self._placed: deque[tuple[int, Samples]] = deque()
        """Samples of silence, and those that are heard after them."""

    def decode(self, message: bytes) -> Samples:
        """The samples of all packets that are complete with one more piece, but for one whose time is in doubt.

        InputError as `WebmDemuxer.push`. At most `MOST_SAMPLES`, of which the rest comes with an empty piece.
        """
        for block in self._demuxer.push(message):
            self._hear(block)
        return self._next()

    def finish(self) -> Samples:
        """The samples that are left; called again, where there are `MOST_SAMPLES`."""
        self._place(self._timeline.finish())
        return self._next()

    def warnings(self) -> Sequence[str]:
        """Warnings about holes and audio that was left out, as for a file."""
        return self._timeline.warnings()

    def _hear(self, block: OpusBlock) -> None:
        if self._packets is None:
            track = self._demuxer.track
            assert track is not None
            self._packets = OpusPackets(track.channels, self._name, head=track.head, skip=track.skip)
            if self._demuxer.track_count > 1:  # pictures may begin before the sound
                self._timeline = PresentationTimeline()
        skipped = self._packets.to_skip
        samples = self._packets.decode_packet(block.packet, discard=block.discard)
        skipped -= self._packets.to_skip
        if len(samples):
            self._unplaced.append(samples)
            # As FFmpeg has it, in whole milliseconds, which is what a delay is rounded to before it is taken away.
            skipped_ms = (2000 * skipped + OPUS_RATE) // (2 * OPUS_RATE)
            time_s = block.time_ns / 1e9 + skipped_ms / 1000
            self._place(self._timeline.push(time_s, len(samples), OPUS_RATE))

    def _place(self, placements: Iterable[Placement]) -> None:
        for placement in placements:
            self._placed.append((placement.silence, self._unplaced.popleft()[placement.skip :]))

    def _next(self) -> Samples:
        """Placed samples, up to `MOST_SAMPLES`."""
        found, room = [np.zeros(0, np.float32)], MOST_SAMPLES
        while self._placed and room:
            silence, samples = self._placed.popleft()
            quiet = min(silence, room)
            heard = samples[: room - quiet]
            found += [np.zeros(quiet, np.float32), heard]
            room -= quiet + len(heard)
            if quiet < silence or len(heard) < len(samples):
                self._placed.appendleft((silence - quiet, samples[len(heard) :]))
        return np.concatenate(found)

    def close(self) -> None:
        """Nothing is held that has to be given back."""
