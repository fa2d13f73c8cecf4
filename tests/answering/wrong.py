"""What the command line refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Iterator

from answering.place import Place
from answering.running import Case, first_words


def calls() -> Iterator[Case]:
    """Options, outputs, devices, inputs, models and settings that cannot be."""
    one = "examples/sad.wav"
    wrong: dict[str, tuple[tuple[str, ...], ...]] = {
        "usage": (
            ("nothing",),
            ("emotion",),
            ("emotion", one, "--nope"),
            ("emotion", one, "--granularity", "word"),
            ("emotion", one, "--segment", "phrase"),
            ("emotion", one, "--hop", "soon"),
            ("emotion", one, "--hop", "5", "--window", "4"),
            ("emotion", one, "--max-segment", "0.1"),
            ("emotion", one, "--threads", "0"),
            ("emotion", one, "--memory", "two apples"),
            ("emotion", one, "--segment", "none", "--batch-size-s", "10"),
            ("emotion", one, "--segment", "window", "--batch-size-s", "1"),
            ("emotion", one, "--resume"),
            ("emotion", one, "-o", "{here}/a.jsonl", "--resume", "--overwrite"),
            ("emotion", one, "--profile", "made/none.toml"),
            ("emotion", one, "--profile", "made/wrong.toml"),
        ),
        "outputs": (
            ("emotion", one, "-o", "{here}/a.xyz"),
            ("emotion", one, "-o", "{here}/a"),
            ("emotion", one, "--format", "xyz"),
            ("emotion", "clips/emodb", "-o", "{here}/a.srt"),
            ("emotion", "clips/emodb", "--format", "vtt"),
            ("emotion", one, "-o", "made/list.txt"),
            ("emotion", one, "-o", "examples/sad.wav/out.jsonl"),
            ("emotion", one, "--embeddings", "made/list.txt"),
        ),
        "devices": (
            ("emotion", one, "--device", "cuda:0"),
            ("emotion", one, "--device", "tpu"),
            ("emotion", one, "--precision", "fp16"),
            ("emotion", one, "--precision", "tf32"),
            ("emotion", one, "--offload"),
            ("emotion", one, "--backend", "torch", "--precision", "int8"),
        ),
        "inputs": (
            ("emotion", "none.wav"),
            ("emotion", "none.wav", one, "none"),
            ("emotion", "@none.txt"),
            ("emotion", "none.scp"),
            ("emotion", "settings"),
            ("emotion", "made/empty.txt", "@made/empty.txt", "@made/wrong.txt", "made/wrong.scp"),
            ("emotion", "made/settings.toml"),
            ("tune", "none.wav", "-o", "{here}/a.toml"),
            ("tune", one, "--time", "never", "-o", "{here}/a.toml"),
            ("tune", one, "--least-agreement", "2", "-o", "{here}/a.toml"),
        ),
        "models": (
            ("emotion", one, "--model", "nobody-knows"),
            ("emotion", one, "--model", "made"),
            ("emotion", one, "--model", "plus-large"),
            ("emotion", one, "--model", "plus-large", "--hub", "x"),
            ("transcribe", one),
            ("transcribe", one, "--model", "tiny"),
            ("models", "info", "nobody-knows"),
            ("models", "info", "plus-large"),
            ("models", "convert", "nobody-knows"),
            ("models", "convert", "tiny", "--precision", "fp16"),
        ),
        "serve": (
            ("serve", "--host", "0.0.0.0", "--port", "0"),
            ("serve", "--context", "full"),
            ("serve", "--max-upload", "much"),
            ("serve", "--port", "99999"),
            ("serve", "--cache", "elsewhere"),
            ("serve", "--keys", "made/none.json"),
            ("serve", "--key-share", "2"),
            ("serve", "--no-page", "--transcriber", "nobody-knows"),
            ("top", "http://127.0.0.1:1", "--once"),
            ("top", "elsewhere", "--once"),
        ),
    }
    for name, commands in wrong.items():
        yield Case(f"wrong/{name}", commands)
    measured = (("emotion", one, "--memory", "64MiB"), ("plan", "none.wav", one), ("bench", "none.wav"))
    yield Case("wrong/measured", measured, measured=True)
    yield Case("wrong/profile", (("profile", "none.wav"),), measured=True, keep=first_words)


def models() -> Iterator[Case]:
    """What models that are here cannot do."""
    one, bicif = "examples/sad.wav", "models/paraformer-bicif"
    sensevoice = ("transcribe", one, "--model", "models/sensevoice")
    yield Case(
        "wrong/transcribe",
        (
            ("transcribe", one, "--model", "models/paraformer-streaming"),
            ("transcribe", one, "--model", "models/fsmn-vad"),
            ("transcribe", one, "--model", bicif),
            ("transcribe", one, "--model", bicif, "--hotwords", "a"),
            ("transcribe", one, "--model", bicif, "--language", "en"),
            (*sensevoice, "--hotwords", "a"),
            (*sensevoice, "--language", "xx"),
            (*sensevoice, "--granularity", "frame"),
            (*sensevoice, "--segment", "window"),
            (*sensevoice, "--num-speakers", "2"),
            (*sensevoice, "--speakers", "--num-speakers", "0"),
            (*sensevoice, "--merge-length-s", "3"),
            (*sensevoice, "--vad", "models/fsmn-vad", "--max-end-silence-ms", "1"),
            (*sensevoice, "--vad", "models/campplus"),
            (*sensevoice, "--segment", "none", "--vad", "models/fsmn-vad"),
            (*sensevoice, "--speaker-model", "models/campplus"),
            (*sensevoice, "--emotion", "models/emotion2vec-base"),
            (*sensevoice, "--punctuation", "models/fsmn-vad"),
            (*sensevoice, "-o", "{here}/out.rttm"),
            ("emotion", one, "--model", "models/sensevoice"),
            ("emotion", one, "--model", "models/campplus"),
        ),
    )


def files(place: Place) -> Iterator[Case]:
    """Each file that is hard to read by itself: how a run of it ends."""
    for data in place.data:
        hard = [path for path in sorted((place.folder / data).rglob("hard/*")) if path.suffix != ".md"]
        commands = [("emotion", str(path.relative_to(place.folder)), "--granularity", "utterance") for path in hard]
        if commands:
            yield Case(f"broken/{data}", tuple(commands))
            yield Case(f"broken/{data}-plan", (("plan", *(command[1] for command in commands)),), measured=True)
