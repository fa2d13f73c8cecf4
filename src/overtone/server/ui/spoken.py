"""A transcript as the page shows it. Everything that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from overtone.output.plots import color_of
from overtone.results import Emotion, Sentence, Transcript
from overtone.server.ui.downloads import KINDS
from overtone.server.ui.kept import Kept
from overtone.server.ui.markup import channel_of, downloads_of
from overtone.server.ui.texts import TEXTS, Language, emotion, moment, percent, text

MOST_SENTENCES = 500
"""Of a transcript that are on the page; the downloads have them all."""


def heading(kept: Kept, told: Transcript, language: Language) -> str:
    """Its file, how long it is, and in what language it is."""
    known = f"spoken_{told.language}"
    about = [text(language, known)] if known in TEXTS else []
    if told.speakers:
        about.append(text(language, "speakers", count=told.speakers))
    length = f'<span class="ot-faint">{moment(told.duration)}</span>'
    return (
        f'<div class="ot-result"><h2>{escape(kept.name)}{channel_of(told, language)}</h2>'
        f'<p class="ot-said">{escape(" · ".join(about))} {length}</p></div>'
    )


def transcript(kept: Kept, told: Transcript, base: str, language: Language) -> str:
    """Its sentences, and the downloads, which are at `base`."""
    downloads = downloads_of(base, "download", language, KINDS["transcribe"], many=len(kept.results) > 1)
    if not told.sentences:
        return f'<p class="ot-faint">{escape(text(language, "no_speech"))}</p>{downloads}'
    rest = len(told.sentences) - MOST_SENTENCES
    more = f'<p class="ot-faint">{escape(text(language, "and_more", count=rest))}</p>' if rest > 0 else ""
    lines = "".join(_lines(told, language))
    label = escape(text(language, "transcript"))
    return f'{downloads}<ol class="ot-spoken" aria-label="{label}">{lines}</ol>{more}'


def _lines(told: Transcript, language: Language) -> Iterator[str]:
    for at in range(min(len(told.sentences), MOST_SENTENCES)):
        said = told.sentences[at]
        yield (
            f'<li><span class="ot-when">{moment(said.start)}</span><div>{_who(said, language)}'
            f"<p>{escape(said.text)}</p></div></li>"
        )


def _who(said: Sentence, language: Language) -> str:
    """Who speaks, in what mood, and what else is heard."""
    chips = []
    if said.speaker is not None:
        chips.append(f'<b class="ot-speaker">{escape(text(language, "speaker", number=said.speaker))}</b>')
    if said.emotion is not None:
        chips.append(_mood(said.emotion, language))
    if said.event is not None:
        chips.append(f'<span class="ot-faint">{escape(said.event)}</span>')
    return f'<p class="ot-who">{" ".join(chips)}</p>' if chips else ""


def _mood(mood: Emotion, language: Language) -> str:
    return (
        f'<span class="ot-mood"><span class="ot-swatch" style="background:{color_of(mood.label)}" aria-hidden="true">'
        f"</span>{escape(emotion(language, mood.label))} {percent(mood.score)}</span>"
    )
