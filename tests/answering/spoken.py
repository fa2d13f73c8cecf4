"""What is asked of `overtone transcribe`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from answering.place import MANY, SPEECH
from answering.running import RECOGNIZERS, TOGETHER, Case, case, each

STAGES = ("--vad", "models/fsmn-vad", "--speakers", "--speaker-model", "models/campplus", "--emotion", "tiny")
MARKS = ("--punctuation", "models/ct-transformer")
BARE = ("--punctuation", "none")


def transcribe(name: str, recognizer: str, *arguments: str) -> Case:
    """One command that writes down what is said. Punctuation is that of the recognizer unless it is said."""
    return case(f"transcribe/{recognizer}-{name}", "transcribe", "--model", f"models/{recognizer}", *arguments)


def transcripts() -> Iterator[Case]:
    """Each recognizer, and what it can be asked."""
    for name in RECOGNIZERS:
        yield transcribe("word", name, *SPEECH, *BARE, "--detail", "word")
        yield transcribe("whole", name, *SPEECH, *BARE, "--segment", "none")
        yield transcribe("marks", name, *SPEECH, *MARKS, "--max-segment", "6")
    for name in ("sensevoice", "paraformer-seaco"):
        yield transcribe("torch", name, *SPEECH, *BARE, "--backend", "torch")
        yield transcribe("bf16", name, *SPEECH, *BARE, "--precision", "bf16")
        yield transcribe("text", name, *SPEECH, *BARE, "--detail", "text")
        yield transcribe("sentence", name, *SPEECH, *BARE, "--detail", "sentence")
    yield transcribe("of-many", "paraformer-seaco", MANY, *MARKS)
    yield transcribe("of-many", "paraformer-bicif", MANY, *BARE)
    for language in ("zh", "en", "yue", "ja", "ko", "nospeech"):
        yield transcribe(f"of-{language}", "sensevoice", *SPEECH, "--language", language)
    yield transcribe("no-itn", "sensevoice", *SPEECH, "--no-itn")
    yield transcribe("no-itn-marks", "sensevoice", *SPEECH, "--no-itn", *MARKS)
    yield transcribe("hot-words", "paraformer-seaco", *SPEECH, *BARE, "--hotwords", "sensible the cat")
    dictionary = ("--punctuation", "models/ct-transformer-dictionary")
    yield transcribe("dictionary", "paraformer-seaco", *SPEECH, *dictionary)
    yield transcribe("channels", "paraformer-bicif", *SPEECH, *BARE, "--channels", "split")
    together = ("transcribe", "--model", "models/sensevoice", MANY, "--detail", "text")
    yield Case("transcribe/together", (together,), TOGETHER, keep=_texts)


def _texts(records: str) -> str:
    """What was said alone, which is the same whatever shares a batch."""
    told = map(json.loads, records.splitlines())
    return "\n".join(json.dumps([one["source"], one.get("text")], ensure_ascii=False) for one in told)


def stages() -> Iterator[Case]:
    """What goes with a recognizer."""
    for name in RECOGNIZERS:
        yield transcribe("stages", name, *SPEECH, *STAGES, *MARKS)
    yield transcribe("stages-of-many", "sensevoice", MANY, *STAGES)
    bicif = "paraformer-bicif"
    speakers, fsmn = (*STAGES[2:5],), (*STAGES[:2],)
    yield transcribe("two-speakers", bicif, *SPEECH, *MARKS, *fsmn, *speakers, "--num-speakers", "2")
    yield transcribe("speakers", bicif, *SPEECH, *BARE, *speakers)
    yield transcribe("speakers-of-channels", bicif, *SPEECH, *BARE, *speakers, "--channels", "split")
    yield transcribe("moods", bicif, *SPEECH, *BARE, "--emotion", "models/emotion2vec")
    yield transcribe("joined", bicif, *SPEECH, *BARE, *fsmn, "--merge-length-s", "10")
    yield transcribe("impatient", bicif, *SPEECH, *BARE, *fsmn, "--max-end-silence-ms", "300", "--max-segment", "5")
    yield transcribe("stages-torch", "sensevoice", *SPEECH, *STAGES, *MARKS, "--backend", "torch")


def forms() -> Iterator[Case]:
    """Forms of output."""
    said = ("transcribe", "-q", "--model", "models/paraformer-bicif", *STAGES, *MARKS)
    sources = ("made", "clips/speech/wenet", "examples/call.mp3")
    words = [("-o", f"{{here}}/out.{format}") for format in ("jsonl", "json", "csv", "parquet", "rttm")]
    yield each("said/word", (*said, *sources, "--detail", "word"), *words)
    yield each("said/text", (*said, *sources, "--detail", "text"), *words[2:4])
    lines = [("-o", f"{{here}}/{{name}}.{format}") for format in ("srt", "vtt", "txt", "rttm", "json")]
    yield each("said/by-name", (*said, *sources), *lines)
    yield each("said/shown", (*said, "made/joined.wav"), ("--format", "srt"), ("--format", "rttm"))
    plain = ("transcribe", "--model", "models/sensevoice", *sources)
    yield each("said/plain", plain, *lines[:3])
    yield Case("said/terminal", (plain, (*said, *sources)), terminal=True)
    yield Case("said/standard-input", ((*said, "-"),), stdin="examples/call.mp3")
    out = ("-o", "{here}/out.jsonl")
    yield each("said/resumed", (*said, *out), ("clips/speech/wenet",), (*sources, "--resume"))
