"""Results as HTML for notebooks: one piece that needs nothing else, small however long the source is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from html import escape

from overtone.errors import printable
from overtone.output.formats.subtitles import speaker_name
from overtone.output.plots.colors import color_of, short_label
from overtone.output.plots.curves import stretches_of
from overtone.output.times import clock, duration
from overtone.results import EmotionResult, Result, Sentence, Transcript

MOST_SENTENCES = 50
"""Sentences that are shown of a transcript; of more, their number is said."""

_WIDTH, _HEIGHT = 1000, 24
"""Units of the timeline's picture, which is as wide as there is room."""


def html(result: Result) -> str:
    """One `<div>`: the name and the answer, and below it the timeline or the sentences. All text is escaped."""
    return f'<div style="max-width:60em">{"".join(_parts(result))}</div>'


def _parts(result: Result) -> Iterator[str]:
    yield f"<div>{_head(result)}</div>"
    if result.error is not None:
        yield f"<div><b>{_text(result.error.code)}</b>: {_text(str(result.error))}</div>"
    elif isinstance(result, EmotionResult):
        yield from _timeline(result)
    elif isinstance(result, Transcript):
        yield from _sentences(result)


def _head(result: Result) -> str:
    name = result.source if result.channel is None else f"{result.source}, channel {result.channel}"
    parts = [f"<b>{_text(name)}</b>"]
    if isinstance(result, EmotionResult) and result.label is not None:
        score = "" if result.score is None else f" {result.score:.2f}"
        parts.append(f"{_chip(result.label)}{score}")
    if result.ok:
        parts.append(duration(result.duration))
    return " · ".join([*parts, _text(f"{result.model} {result.precision} {result.device}")])


def _timeline(result: EmotionResult) -> Iterator[str]:
    stretches, _ = stretches_of(result.segments, result.duration)
    if not stretches or not result.duration:
        return
    scale = _WIDTH / result.duration
    yield (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'style="display:block;width:100%;height:{_HEIGHT}px">'
    )
    for stretch in stretches:
        left, width = stretch.start * scale, (stretch.stop - stretch.start) * scale
        told = f"{clock(stretch.start, 1)} – {clock(stretch.stop, 1)} {short_label(stretch.label)}"
        yield (
            f'<rect x="{left:.2f}" y="0" width="{width:.2f}" height="{_HEIGHT}" fill="{color_of(stretch.label)}">'
            f"<title>{_text(told)}</title></rect>"
        )
    yield "</svg>"
    yield '<div style="display:flex;justify-content:space-between;font-size:smaller">'
    yield f"<span>{clock(0)}</span><span>{clock(result.duration)}</span></div>"
    yield "<div>" + " ".join(map(_chip, dict.fromkeys(stretch.label for stretch in stretches))) + "</div>"


def _sentences(result: Transcript) -> Iterator[str]:
    if not len(result.sentences):
        yield f"<div>{_text(result.text)}</div>"
        return
    yield '<table style="text-align:left">'
    for sentence in itertools.islice(result.sentences, MOST_SENTENCES):
        cells = (_text(f"{clock(sentence.start, 1)} – {clock(sentence.end, 1)}"), *_who(sentence), _text(sentence.text))
        yield "<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells) + "</tr>"
    yield "</table>"
    if (more := len(result.sentences) - MOST_SENTENCES) > 0:
        yield f"<div>… and {more} more sentences</div>"


def _who(sentence: Sentence) -> tuple[str, str]:
    speaker = "" if sentence.speaker is None else speaker_name(sentence.speaker)
    return speaker, "" if sentence.emotion is None else _chip(sentence.emotion.label)


def _chip(label: str) -> str:
    """A label beside a square of its color."""
    square = f'<span style="display:inline-block;width:.8em;height:.8em;background:{color_of(label)}"></span>'
    return f"<span>{square} {_text(short_label(label))}</span>"


def _text(text: str) -> str:
    return escape(printable(text))
