"""What is asked of the command line, in two parts; what is said of speech and what is wrong have files of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator

from answering import spoken, wrong
from answering.place import ALL, EVERYTHING, FEW, MANY, SPEECH, Place
from answering.running import RECOGNIZERS, TOGETHER, Case, case, each, first_words
from answering.spoken import BARE, MARKS, STAGES, transcribe

COMMANDS = (
    *("", "emotion", "transcribe", "plan", "profile", "tune", "bench", "doctor", "serve", "top"),
    *("models", "models convert", "models list", "models info", "models pull"),
    *("keys", "keys add", "keys list", "keys remove"),
)
GRANULARITIES = ("utterance", "segment", "frame")
HOW: dict[str, tuple[str, ...]] = {
    "vad": (),
    "window": ("--segment", "window"),
    "whole": ("--segment", "none"),
}


def emotion(name: str, *arguments: str) -> Case:
    """One command that tells emotions."""
    return case(f"emotion/{name}", "emotion", *arguments)


def first(place: Place) -> Iterator[Case]:
    """What has to be first: each model is converted once, and which files are very long is found out."""
    yield case("first/emotion-of-everything", "emotion", *ALL, *place.data)
    int8 = ("models", "convert", "tiny", "--precision", "int8", "--calibrate", "examples", "-o", "written/tiny-int8")
    yield case("first/convert-tiny", *int8)
    if place.checkpoints:
        for name in ("emotion2vec", "emotion2vec-base"):
            yield case(f"first/{name}", "emotion", "--model", f"models/{name}", *FEW)
        yield transcribe("first", "sensevoice", *SPEECH, *STAGES, *MARKS)
        for name in RECOGNIZERS[1:]:
            yield transcribe("first", name, *SPEECH, *BARE)


def short(records: str) -> list[str]:
    """Of the records of all audio, the names of what is not longer than ten minutes."""
    told = (json.loads(line) for line in records.splitlines() if line.startswith("{"))
    return [record["source"] for record in told if record["duration"] <= 600]


def rest(place: Place) -> Iterator[Case]:
    """Everything else."""
    yield from _emotions()
    yield from _emotion_forms()
    yield from _inputs()
    yield from _settings()
    yield from _about(place)
    yield from wrong.calls()
    yield from wrong.files(place)
    if place.checkpoints:
        yield from _emotion_models()
        yield from spoken.transcripts()
        yield from spoken.stages()
        yield from spoken.forms()
        yield from wrong.models()


def _emotions() -> Iterator[Case]:
    for granularity in GRANULARITIES:
        for name, how in HOW.items():
            # Records with frames have segments, too; those of all audio with segments alone are `first`.
            sources = (EVERYTHING,) if granularity == "frame" else FEW
            yield emotion(f"{granularity}-{name}", *sources, "--granularity", granularity, *how)
    frame = ("--granularity", "frame")
    yield emotion("overlapping", *FEW, "--segment", "window", "--window", "2.5", "--hop", "1")
    yield emotion("silence-kept", MANY, "--keep-silence")
    yield emotion("context-full", *FEW, "--context", "full", *frame)
    yield emotion("short-segments", MANY, "--max-segment", "5")
    yield emotion("channels", EVERYTHING, "--channels", "split")
    yield emotion("channels-frames", *FEW, "--channels", "split", *frame)
    yield emotion("channels-windows", *FEW, "--channels", "split", "--segment", "window", "--window", "1")
    yield emotion("labels", *FEW, "--labels", "published")
    yield emotion("torch", *FEW, "--backend", "torch", *frame)
    yield emotion("bf16", *FEW, "--precision", "bf16", *frame)
    yield emotion("int8", *FEW, "--model", "written/tiny-int8", *frame)
    yield Case("emotion/together", (("emotion", EVERYTHING, "--segment", "window"),), TOGETHER, keep=_verdicts)


def _verdicts(records: str) -> str:
    """Labels and spans alone: the last digits of scores depend on what shares a batch, which no two runs agree on."""
    lines = []
    for record in map(json.loads, records.splitlines()):
        spans = [(segment["start"], segment["end"], segment["label"]) for segment in record.get("segments", ())]
        lines.append(json.dumps([record["source"], record.get("label"), record["duration"], spans]))
    return "\n".join(lines)


def _emotion_models() -> Iterator[Case]:
    for model in ("emotion2vec", "emotion2vec-base"):
        named = ("--model", f"models/{model}")
        for granularity in GRANULARITIES:
            yield emotion(f"{model}-{granularity}", *FEW, *named, "--granularity", granularity)
        for name in ("window", "whole"):
            yield emotion(f"{model}-{name}", *FEW, *named, "--granularity", "frame", *HOW[name])
        yield emotion(f"{model}-labels", *FEW, *named, "--labels", "published")
        yield emotion(f"{model}-torch", *FEW, *named, "--backend", "torch", "--granularity", "frame")
        yield emotion(f"{model}-full", *FEW, *named, "--backend", "torch", "--context", "full")
        yield emotion(f"{model}-vectors", *FEW, *named, "--embeddings", "{here}/vectors", "--granularity", "frame")
        yield emotion(f"{model}-tables", *FEW, *named, "-o", "{here}/table.csv")
    yield emotion("emotion2vec-bf16", *FEW, "--model", "models/emotion2vec", "--precision", "bf16")


def _emotion_forms() -> Iterator[Case]:
    many = ("jsonl", "json", "csv", "parquet", "rttm")
    for granularity in GRANULARITIES:
        command = ("emotion", "-q", *FEW, "--granularity", granularity)
        yield each(f"forms/{granularity}", command, *(("-o", f"{{here}}/out.{format}") for format in many))
        one = ("emotion", "-q", "examples/call.mp3", "--granularity", granularity, "--format")
        yield each(f"forms/{granularity}-shown", one, *((format,) for format in ("jsonl", "csv", "parquet", "vtt")))
    split = ("emotion", *FEW, "--channels", "split", "--segment", "window")
    named = [("-o", f"{{here}}/{{name}}.{format}") for format in ("srt", "vtt", "txt", "json", "csv")]
    yield each("forms/channels", split, *named)
    yield each("forms/by-name", ("emotion", *FEW), *named)
    vectors = ("emotion", *FEW, "--embeddings", "{here}/vectors")
    yield case("forms/vectors", *vectors)
    yield case("forms/vectors-of-frames", *vectors, "--granularity", "frame")
    yield case("forms/vectors-of-channels", *vectors, "--channels", "split", "--granularity", "utterance")
    yield case("forms/plots", "emotion", *FEW, "--plot", "{here}/plots")
    yield case("forms/plots-of-channels", "emotion", *FEW, "--plot", "{here}/plots", "--channels", "split")
    shown = ("emotion", *FEW)
    yield Case("forms/terminal", (shown, (*shown, "--granularity", "utterance")), terminal=True)


def _inputs() -> Iterator[Case]:
    out = ("-o", "{here}/out.jsonl")
    yield Case(
        "inputs/resumed",
        (("emotion", "clips/emodb", *out), ("emotion", *FEW, *out), ("emotion", *FEW, *out, "--resume")),
    )
    yield each("inputs/overwritten", ("emotion", "clips/emodb", *out), (), ("--overwrite",))
    yield Case("inputs/standard-input", (("emotion", "-"),), stdin="examples/call.mp3")
    yield case("inputs/lists", "emotion", "@made/list.txt", "made/wav.scp")
    yield case("inputs/twice", "emotion", "clips/emodb", "clips/emodb/wav/03a02Nc.wav", "./clips/emodb")
    yield case("inputs/many-decoders", "emotion", *FEW, "--decoders", "3", "--decode-processes", "2")


def _settings() -> Iterator[Case]:
    command = ("emotion", "clips/emodb", "examples/call.mp3")
    yield case("settings/profile", *command, "--profile", "made/settings.toml")
    yield case("settings/profile-and-typed", *command, "--profile", "made/settings.toml", "--hop", "1")
    yield Case("settings/file", (command,), {"OVERTONE_CONFIG": "made/settings.toml"})
    yield Case("settings/environment", (command,), {"OVERTONE_GRANULARITY": "utterance", "OVERTONE_MAX_SEGMENT": "9"})
    yield Case("settings/wrong-file", (command,), {"OVERTONE_CONFIG": "made/wrong.toml"})
    yield Case("settings/no-file", (command,), {"OVERTONE_CONFIG": "made/none.toml"})
    yield Case("settings/wrong-environment", (command,), {"OVERTONE_HOP": "soon"})
    yield Case("settings/unknown-environment", (command,), {"OVERTONE_HOPP": "1"})


def _about(place: Place) -> Iterator[Case]:
    yield from (case(f"help/{name.replace(' ', '-') or 'overtone'}", *name.split(), "--help") for name in COMMANDS)
    yield case("help/version", "--version")
    yield case("help/nothing")
    yield case("about/models", "models", "list")
    yield case("about/models-of-modelscope", "models", "list", "--hub", "ms")
    yield case("about/tiny", "models", "info", "tiny")
    yield case("about/tiny-int8", "models", "info", "written/tiny-int8")
    yield case("about/pulled", "models", "pull", "tiny")
    yield Case("about/plan", (("plan", *FEW),), measured=True)
    yield case("about/plan-of-everything", "plan", *ALL, *place.data, "--format", "json")
    for name, how in {**HOW, "channels": ("--channels", "split")}.items():
        yield case(f"about/plan-{name}", "plan", *FEW, "--format", "json", *how)
    yield Case("about/doctor", (("doctor",),), measured=True)
    yield Case("about/profile", (("profile", "clips/emodb", "examples/call.mp3"),), measured=True, keep=first_words)
    bench = ("bench", "examples/sad.wav", "--repeats", "1")
    yield Case("about/bench", ((*bench, "--json"), bench), measured=True)
    yield Case(
        "about/keys",
        (
            *(("keys", "add", name, "--file", "{here}-keys.json") for name in ("alice", "bob", "al ice")),
            ("keys", "add", "alice", "--file", "{here}-keys.json"),
            ("keys", "add", "nightly", "--seconds", "600", "--file", "{here}-keys.json"),
            ("keys", "remove", "bob", "--file", "{here}-keys.json"),
            ("keys", "remove", "carol", "--file", "{here}-keys.json"),
        ),
    )
    # The date of a key, which is measured.
    yield Case("about/keys-listed", (("keys", "add", "a"), ("keys", "list")), measured=True)
    if place.checkpoints:
        for name in sorted(path.name for path in (place.folder / "models").iterdir()):
            yield case(f"about/{name}", "models", "info", f"models/{name}")
        yield case("about/convert", "models", "convert", "models/emotion2vec", "-o", "{here}/made")
        bf16 = ("--precision", "bf16", "--calibrate", "clips/speech/wenet")
        yield case("about/convert-bf16", "models", "convert", "models/sensevoice", *bf16, "-o", "{here}/made")
    for folder in _published(place):
        yield case(f"about/{folder.replace('/', '-')}", "models", "info", folder)


def _published(place: Place) -> Iterator[str]:
    """Folders of data with a model's `config.yaml`."""
    for data in place.data:
        for path in sorted((place.folder / data).rglob("config.yaml")):
            yield str(path.parent.relative_to(place.folder))
