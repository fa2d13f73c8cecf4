"""The progress of a run: what is known of its pace, and what is counted."""

from __future__ import annotations

from collections.abc import Iterator

from helpers.results import failed, result
from overtone.audio import probe
from overtone.audio.inputs import Entry, Input
from overtone.cli.progress import ProgressBar


def meter(to_do: Iterator[Entry] | None, decoded: list[float]) -> ProgressBar:
    return ProgressBar(to_do, lambda: decoded[0], probe, shown=False)


def test_the_bar_counts_audio_and_says_what_is_left(tmp_path) -> None:
    from helpers import audio_files

    paths = [tmp_path / f"{n}.wav" for n in range(3)]
    for path in paths:
        path.write_bytes(audio_files.wav16(audio_files.voice(2.0)))
    decoded = [0.0]
    of_three = meter((Input(str(path), str(path)) for path in paths), decoded)
    assert of_three.text(1.0) == "0 inputs"
    decoded[0] = 1.0
    assert of_three.text(0.5) == "0 inputs, 1.0 s of audio, 2 h/h"  # not counted yet
    of_three._count()
    assert of_three.text(0.5) == "0 of 3 inputs, 1.0 s of 6.0 s of audio, 2 h/h, 2.5 s left"
    decoded[0] = 7.0  # headers need not be right
    assert of_three.text(0.5) == "0 of 3 inputs, 7.0 s of 6.0 s of audio, 14 h/h, 0.0 s left"


def test_what_cannot_be_counted_has_a_pace_and_no_end() -> None:
    through_a_pipe = meter(None, [10.0])
    through_a_pipe._count()
    assert through_a_pipe.text(5.0) == "0 inputs, 10.0 s of audio, 2 h/h"


def test_channels_of_one_source_are_one_input(capsys) -> None:
    split = meter(None, [0.0])
    for value in (result("a", channel=0, channels=2), result("a", channel=1, channels=2), failed("b")):
        split.add(value)
    assert (split.done, split.failed, split.audio_s) == (2, 1, 3.0)
    split.summary(skipped=4)
    said = capsys.readouterr().err
    assert "2 inputs" in said
    assert "1 failed, 4 were done before" in said
