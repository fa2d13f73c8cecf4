"""Calls as type checkers see them: mypy finds the options and their types, and no others.

It is checked with the package, and never run: a wrong call that was taken for right would leave a comment below unused,
which is an error.
"""

from __future__ import annotations

from overtone import Audio, EmotionRecognizer, EmotionResult, LiveSession, Transcriber, Transcript


def right(recognizer: EmotionRecognizer, transcriber: Transcriber, audio: Audio) -> tuple[object, ...]:
    """Calls that are right."""
    EmotionRecognizer("tiny", memory="2GiB", precision="bf16", threads=2, granularity="frame", profile="tuned.toml")
    Transcriber(model="sensevoice", speakers=True, emotion="tiny", language="zh", memory=1 << 32)
    one: EmotionResult = recognizer(audio, envelope=True, granularity="frame", hop=1.0)
    many: list[EmotionResult] = recognizer.results_for((audio.samples, 16_000), channels="split")
    some: list[Transcript] = list(transcriber.stream(["a.wav", {"bytes": b"", "path": "b.wav"}], itn=False))
    session: LiveSession = recognizer.live(name="a", window=2.0, hop=None)
    transcript: Transcript = transcriber("a.wav", hotwords="Overtone", num_speakers=2)
    return one, many, some, session, transcript


def wrong(recognizer: EmotionRecognizer, transcriber: Transcriber) -> None:
    """Calls that are not: an option that there is not, one that is settled, a value of another type."""
    EmotionRecognizer("tiny", memmory="2GiB")  # type: ignore[call-arg]
    EmotionRecognizer("tiny", precision="fp8")  # type: ignore[arg-type]
    EmotionRecognizer("tiny", speakers=True)  # type: ignore[call-arg]
    Transcriber("sensevoice", granularity="frame")  # type: ignore[call-arg]
    Transcriber("sensevoice", language="en-US")  # type: ignore[arg-type]
    recognizer("a.wav", threads=2)  # type: ignore[call-arg]
    recognizer("a.wav", granularity="second")  # type: ignore[arg-type]
    recognizer.stream(["a.wav"], hopp=1.0)  # type: ignore[call-arg]
    recognizer.results_for("a.wav", channels="left")  # type: ignore[arg-type]
    recognizer.live(memory="2GiB")  # type: ignore[call-arg]
    transcriber("a.wav", keep_silence=True)  # type: ignore[call-arg]
    transcriber.stream(["a.wav"], language=1)  # type: ignore[arg-type]
