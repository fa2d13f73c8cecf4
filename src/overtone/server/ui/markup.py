"""The pieces of the page that are plain HTML. Everything that comes from outside is escaped here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from overtone.output.plots import color_of
from overtone.output.shares import largest_shares
from overtone.results import SILENCE, EmotionResult, Result, SegmentResult
from overtone.server.ui.downloads import KINDS, ONE_FILE
from overtone.server.ui.errors import Limits, explained
from overtone.server.ui.kept import Kept
from overtone.server.ui.run import Row, Run, Verdict
from overtone.server.ui.texts import Language, emotion, listed, moment, percent, span, text

MOST_LINES = 200
"""Of a timeline that are in the table below the picture; the downloads have them all."""

_SOON_S = 2.0
"""Nobody needs to be told of a shorter wait."""


def heading(language: Language, served: str, user: str | None) -> str:
    """Name, purpose, and what is served."""
    out = ""
    if user is not None:
        out = f'<a class="ot-out" href="logout">{escape(text(language, "sign_out", name=user))}</a>'
    return (
        '<header class="ot-head"><svg class="ot-mark" viewBox="0 0 32 32" aria-hidden="true">'
        '<path d="M4 13v6M9 9v14M14 4v24M19 10v12M24 7v18M29 13v6"/></svg>'
        f"<div><h1>Overtone</h1><p>{escape(text(language, 'tagline'))}</p></div>"
        f'<p class="ot-served">{escape(served)} {out}</p></header>'
    )


def picker(language: Language, limits: Limits) -> str:
    """Where files are chosen or dropped. The script fills in what was chosen."""
    bounds = text(
        language,
        "bounds",
        size=limits.size(),
        length=span(language, limits.most_audio_s),
        count=limits.most_files,
    )
    many = text(language, "too_many", count=limits.most_files)
    return (
        f'<div class="ot-drop" data-most="{limits.most_files}" data-many="{escape(many)}">'
        f"<p>{escape(text(language, 'drop'))}</p>"
        f'<label class="ot-browse"><input type="file" id="ot-files" multiple accept="audio/*,video/*" '
        f'aria-describedby="ot-bounds"><span>{escape(text(language, "browse"))}</span></label>'
        f'<p class="ot-faint" id="ot-bounds">{escape(bounds)}</p></div>'
    )


def recorder(language: Language) -> str:
    """Where speech is recorded. The script does it."""
    words = {
        "start": text(language, "record"),
        "end": text(language, "end_recording"),
        "name": text(language, "recording_name"),
        "none": text(language, "no_microphone"),
    }
    data = " ".join(f'data-{name}="{escape(word)}"' for name, word in words.items())
    return (
        f'<div class="ot-drop ot-recorder" {data}><button type="button" id="ot-record" aria-pressed="false">'
        f'<span class="ot-dot" aria-hidden="true"></span><span id="ot-record-word">{escape(words["start"])}</span>'
        '</button><output id="ot-clock" aria-live="off">0:00</output>'
        f'<p class="ot-faint" id="ot-record-hint">{escape(text(language, "recording_hint"))}</p></div>'
    )


def chosen(language: Language) -> str:
    """The list of what was chosen, which the script fills."""
    remove = text(language, "remove", name="%s")
    label = text(language, "chosen")
    return f'<ul class="ot-chosen" aria-label="{escape(label)}" data-remove="{escape(remove)}"></ul>'


def note(message: str, kind: str = "info", *, leave: str = "") -> str:
    """A sentence to the user, on its own. leave: what to call the way out, where there is one."""
    out = f' <a class="ot-out" href="logout">{escape(leave.strip())}</a>' if leave else ""
    return f'<p class="ot-note ot-{kind}" role="status">{escape(message)}{out}</p>'


@dataclass(frozen=True, slots=True)
class Around:
    """What a table of files depends on beside the files. wait: seconds of audio ahead, and seconds until they are
    answered. shown: file and place of the result that is shown. base: where downloads are."""

    language: Language
    limits: Limits
    base: str
    wait: tuple[float, float] = (0.0, 0.0)
    shown: tuple[int, int] | None = None


def files(run: Run, around: Around) -> str:
    """The table of files."""
    language = around.language
    done = sum(row.state == "done" for row in run.rows)
    failed = sum(row.state == "failed" for row in run.rows)
    name = "counted_failed" if failed else "counted"
    counted = text(language, name, done=done, all=len(run.rows), failed=failed)
    heads = "".join(f'<th scope="col">{escape(text(language, head))}</th>' for head in ("file", "length", "state"))
    rows = "".join(_row(at, row, around) for at, row in enumerate(run.rows))
    kinds = KINDS[run.task]
    everything = downloads_of(f"{around.base}/all", "download_all", language, kinds, many=True) if done > 1 else ""
    return (
        f'<div class="ot-run" data-run="{run.number}" data-wanted="{run.wanted}">'
        f'<table class="ot-files"><caption aria-live="polite">{escape(counted)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{everything}</div>"
    )


def _row(at: int, row: Row, around: Around) -> str:
    shown = " ot-shown" if around.shown is not None and around.shown[0] == at else ""
    length = moment(row.duration_s) if row.state == "done" else ""
    return (
        f'<tr class="ot-{row.state}{shown}"><td>{_file_name(at, row, around.language)}</td>'
        f'<td class="ot-length">{length}</td><td>{_state(at, row, around)}</td></tr>'
    )


def _file_name(at: int, row: Row, language: Language) -> str:
    name = escape(row.name)
    if row.state != "done":
        return f'<span class="ot-name">{name}</span>'
    label = escape(text(language, "show", name=row.name))
    return f'<button type="button" class="ot-name" data-show="{at}.0" aria-label="{label}">{name}</button>'


def _state(at: int, row: Row, around: Around) -> str:
    language = around.language
    if row.state == "done":
        return "".join(
            _verdict(f"{at}.{place}", verdict, around.shown == (at, place), language)
            for place, verdict in enumerate(row.verdicts)
        )
    if row.state == "failed" and row.error is not None:
        told = escape(explained(row.error, row.name, around.limits, language))
        return f'<span class="ot-chip">{escape(text(language, "failed"))}</span> <span class="ot-why">{told}</span>'
    if row.state == "stopped":
        return f'<span class="ot-chip">{escape(text(language, "stopped"))}</span>'
    bar = '<progress class="ot-bar"></progress>'
    if row.state == "sending":
        bar = f'<progress class="ot-bar" id="ot-sent-{at}" max="1" value="0"></progress>'
    return f'<span class="ot-doing">{escape(_doing(row, around.wait, language))}</span>{bar}'


def _doing(row: Row, wait: tuple[float, float], language: Language) -> str:
    if row.state == "sending":
        return text(language, "sending")
    if row.state == "waiting":
        ahead_s, wait_s = wait
        if ahead_s < 1:
            return text(language, "waiting_turn")
        return text(language, "waiting", audio=span(language, ahead_s), time=span(language, wait_s))
    left_s = row.due - time.monotonic()
    if row.due and left_s > _SOON_S:
        return text(language, "running_left", time=span(language, left_s))
    return text(language, "running")


def _verdict(place: str, verdict: Verdict, shown: bool, language: Language) -> str:
    label = SILENCE if verdict.label is None else verdict.label
    if verdict.text is not None:
        return _beginning(place, verdict, shown, language)
    name = text(language, "no_classes") if verdict.label is None else emotion(language, label)
    if verdict.label == SILENCE:
        name = text(language, "no_speech")
    channel = "" if verdict.channel is None else text(language, "channel", number=verdict.channel + 1) + ": "
    return (
        f'<button type="button" class="ot-verdict" data-show="{place}" aria-pressed="{"true" if shown else "false"}">'
        f'<span class="ot-swatch" style="background:{color_of(label)}" aria-hidden="true"></span>'
        f"{escape(channel)}{escape(name)} <b>{percent(verdict.score)}</b></button>"
    )


def _beginning(place: str, verdict: Verdict, shown: bool, language: Language) -> str:
    """How a transcript begins."""
    said = verdict.text or text(language, "no_speech")
    channel = "" if verdict.channel is None else text(language, "channel", number=verdict.channel + 1) + ": "
    return (
        f'<button type="button" class="ot-verdict" data-show="{place}" aria-pressed="{"true" if shown else "false"}">'
        f"{escape(channel)}{escape(said)}</button>"
    )


def channel_of(result: Result, language: Language) -> str:
    """Which channel it is of, beside the name of a file; nothing where channels are together."""
    if result.channel is None:
        return ""
    return f" <small>{escape(text(language, 'channel', number=result.channel + 1))}</small>"


def verdict(kept: Kept, result: EmotionResult, language: Language) -> str:
    """The heading of one result: its file, its emotion."""
    channel = channel_of(result, language)
    said = escape(_said(result, language))
    colour = color_of(SILENCE if result.label is None else result.label)
    return (
        f'<div class="ot-result"><h2>{escape(kept.name)}{channel}</h2>'
        f'<p class="ot-said"><span class="ot-swatch" style="background:{colour}" aria-hidden="true"></span>{said}'
        f' <b>{percent(result.score)}</b> <span class="ot-faint">{moment(result.duration)}</span></p>'
        f"{_shares(result, language)}</div>"
    )


def _shares(result: EmotionResult, language: Language) -> str:
    """Line with the largest shares of speaking time, of a source of several segments; empty for any other."""
    if not result.shares or len(result.segments) < 2:
        return ""
    named, rest = largest_shares(result.shares)
    parts = [f"{percent(share)} {emotion(language, label)}" for label, share in named]
    if rest:
        parts.append(f"{percent(rest)} {text(language, 'others')}")
    told = listed(language, parts)
    if result.speech_s:
        told = text(language, "shares", shares=told, length=span(language, result.speech_s))
    return f'<p class="ot-faint">{escape(told)}</p>'


def _said(result: EmotionResult, language: Language) -> str:
    if result.label is None:
        return text(language, "no_classes")
    return text(language, "no_speech") if result.label == SILENCE else emotion(language, result.label)


def details(kept: Kept, result: EmotionResult, base: str, language: Language) -> str:
    """What stands below the picture: scores, downloads, which are at `base`, and the timeline as a table."""
    timeline = "" if kept.level == "utterance" else _timeline(result.segments, language)
    silent = all(isinstance(one, EmotionResult) and one.embedding is None for one in kept.results)
    left_out = ("npz",) if silent else ()
    downloads = downloads_of(base, "download", language, KINDS["emotion"], many=len(kept.results) > 1, but=left_out)
    return f"{_scores(result, language)}{downloads}{timeline}"


def _scores(result: EmotionResult, language: Language) -> str:
    if not result.scores:
        return ""
    lines = "".join(
        f"<li><span>{escape(emotion(language, label))}</span>"
        f'<span class="ot-track" aria-hidden="true"><i style="width:{100 * score:.1f}%;background:{color_of(label)}">'
        f"</i></span><b>{percent(score)}</b></li>"
        for label, score in sorted(result.scores.items(), key=lambda item: -item[1])
    )
    return f'<h3>{escape(text(language, "scores"))}</h3><ul class="ot-scores">{lines}</ul>'


def _timeline(segments: Sequence[SegmentResult], language: Language) -> str:
    """The same as the picture for those who cannot see it."""
    names = ("from", "to", "emotion", "score")
    heads = "".join(f'<th scope="col">{escape(text(language, name))}</th>' for name in names)
    rest = len(segments) - MOST_LINES
    more = f'<p class="ot-faint">{escape(text(language, "and_more", count=rest))}</p>' if rest > 0 else ""
    return (
        f"<details><summary>{escape(text(language, 'timeline'))}</summary>"
        f'<table class="ot-lines"><thead><tr>{heads}</tr></thead><tbody>'
        f"{''.join(_lines(segments, language))}</tbody></table>{more}</details>"
    )


def _lines(segments: Sequence[SegmentResult], language: Language) -> Iterator[str]:
    for segment in segments[:MOST_LINES]:
        name = "" if segment.label is None else emotion(language, segment.label)
        yield (
            f"<tr><td>{moment(segment.span.start_s)}</td><td>{moment(segment.span.stop_s)}</td>"
            f"<td>{escape(name)}</td><td>{percent(segment.score)}</td></tr>"
        )


def downloads_of(
    base: str, label: str, language: Language, kinds: Sequence[str], *, many: bool = False, but: Sequence[str] = ()
) -> str:
    """Links to files. many: of several results, which some kinds need a zip for. but: kinds that there are not."""
    links = "".join(
        f'<a class="ot-get" download href="{escape(base)}.{kind}">{escape(_kind(kind, language, many))}</a>'
        for kind in kinds
        if kind not in but
    )
    return f'<p class="ot-gets"><span>{escape(text(language, label))}</span>{links}</p>'


def _kind(kind: str, language: Language, many: bool) -> str:
    name = text(language, "embedding") if kind == "npz" else kind.upper()
    return f"{name} (zip)" if many and kind not in ONE_FILE else name
