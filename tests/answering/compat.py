"""What is asked of FunASR's `AutoModel`, by every family of models."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from answering.notes import CALL, ENGLISH, JOINED, MANDARIN, SAD, How, Notes
from answering.place import read
from overtone.compat import AutoModel, rich_transcription_postprocess

ARGUMENTS: dict[str, How] = {
    "nothing": {},
    "everything": {
        "output_timestamp": True,
        "sentence_timestamp": True,
        "return_raw_text": True,
        "use_itn": True,
        "language": "zh",
        "en_post_proc": True,
        "return_spk_center": True,
        "batch_size_s": 60,
        "hotword": "sensible dashwood",
    },
    "sentences": {"sentence_timestamp": True, "return_raw_text": True},
    "joined": {"merge_vad": True, "merge_length_s": 15, "return_spk_res": False, "language": "zn"},
    "patient": {"max_end_silence_time": 300, "sentence_timestamp": True, "return_spk_res": False},
    "two speakers": {"preset_spk_num": 2},
    "key": {"key": "mine"},
    "unknown": {"langauge": "zh"},
    "refused": {"ban_emo_unk": True},
}
STACKS: dict[str, How] = {
    "": {},
    "+vad": {"vad_model": "models/fsmn-vad"},
    "+punc": {"punc_model": "models/ct-transformer"},
    "+vad+dictionary": {"vad_model": "models/fsmn-vad", "punc_model": "models/ct-transformer-dictionary"},
    "+vad+punc+spk": {
        "vad_model": "models/fsmn-vad",
        "vad_kwargs": {"max_single_segment_time": 30_000},
        "punc_model": "models/ct-transformer",
        "spk_model": "models/campplus",
    },
    "+segments": {"vad_model": "models/fsmn-vad", "spk_model": "models/campplus", "spk_mode": "vad_segment"},
}


@contextlib.contextmanager
def made(model: str, **arguments: Any) -> Iterator[AutoModel]:
    """An `AutoModel` of a checkpoint while the block runs."""
    auto = AutoModel(model=model, device="cpu", disable_update=True, **arguments)
    try:
        yield auto
    finally:
        auto.close()


def recognition(model: str, notes: Notes) -> None:
    """`AutoModel` of a recognizer, with what goes with it."""
    joined = read(Path(JOINED))
    for stack, arguments in STACKS.items():
        with made(f"models/{model}", **arguments) as auto:
            # All that can be said where all stages are there, and where none is.
            for name in ARGUMENTS if stack in ("", "+vad+punc+spk") else ("nothing", "everything", "patient"):
                how = ARGUMENTS[name]
                given = [joined, ENGLISH] if name == "everything" else joined
                notes.ask(f"{model}{stack} {name}", auto.generate, given, **how)


def inputs(notes: Notes) -> None:
    """`AutoModel`'s inputs, what it refuses, and FunASR's own treatment of tags."""
    whole = (read(Path(MANDARIN)) * 32768).astype(np.int16)
    with made("models/sensevoice") as auto:
        inputs: How = {
            "path": MANDARIN,
            "several": [MANDARIN, read(Path(MANDARIN)), ENGLISH],
            "list": "made/wav.scp",
            "bytes": Path(MANDARIN).read_bytes(),
            "file": io.BytesIO(Path(MANDARIN).read_bytes()),
            "whole numbers": whole,
            "their bytes": whole.tobytes(),
            "nothing there": "none.wav",
            "too little": whole[:100],
        }
        for name, given in inputs.items():
            notes.ask(f"input: {name}", auto.generate, given)
    for text in ("<|zh|><|HAPPY|><|Speech|><|withitn|>你好。", "<|en|><|SAD|><|BGM|>well <|en|><|Laughter|>The.", ""):
        notes.ask(f"rich {text}", rich_transcription_postprocess, text)
    wrongs: tuple[How, ...] = (
        {"spelled_wrong": 1},
        {"vad_model": "models/fsmn-vad", "vad_kwargs": {"max_segment": 3}},
        {"vad_model": "models/ct-transformer"},
        {"punc_model": "models/fsmn-vad"},
        {"fp16": True},
        {"hub": "x"},
    )
    for wrong in wrongs:
        notes.ask(f"made with {wrong}", AutoModel, "models/sensevoice", device="cpu", **wrong)


def emotion(notes: Notes) -> None:
    """`AutoModel` of emotion models."""
    inputs: How = {
        "path": SAD,
        "paths": [SAD, CALL],
        "samples": read(Path(ENGLISH)),
        "bytes": Path(SAD).read_bytes(),
        "list": "made/list.jsonl",
    }
    for model in ("models/emotion2vec", "models/emotion2vec-base", "tiny"):
        with made(model) as auto:
            for granularity in ("utterance", "frame"):
                for embeds in (True, False):
                    how = {"granularity": granularity, "extract_embedding": embeds}
                    for name, given in inputs.items():
                        notes.ask(f"{model} {name} {how}", auto.generate, given, **how)
            out = Path("written", f"compat-{Path(model).name}")
            notes.ask(f"{model} saved", auto.generate, [SAD, CALL], output_dir=str(out))
            notes.note(f"{model} what was saved", {path.name: np.load(path) for path in sorted(out.iterdir())})
            for wrong in ({"granularity": "word"}, {"granularty": "frame"}, {"hotword": "x"}):
                notes.ask(f"{model} {wrong}", auto.generate, SAD, **wrong)


PUBLISHED: How = {"chunk_size": [0, 10, 5], "encoder_chunk_look_back": 4, "decoder_chunk_look_back": 1}


def speech(notes: Notes) -> None:
    """`AutoModel` of speech that is still going on, and of what finds speech."""
    joined, english = read(Path(JOINED)), read(Path(ENGLISH))
    with made("models/paraformer-streaming") as auto:
        for step in (9600, 4801):
            notes.ask(f"stream by {step}", _pieces, auto, english, step, **PUBLISHED)
        notes.ask("whole", auto.generate, ENGLISH, **PUBLISHED)
        notes.ask("cut otherwise", auto.generate, english, chunk_size=[0, 8, 4])
    with made("models/fsmn-vad") as auto:
        notes.ask("speech", auto.generate, [joined, MANDARIN, ENGLISH, CALL, "made/noise.wav"])
        hows: tuple[How, ...] = (
            *({"max_end_silence_time": 150}, {"dynamic_silence": False}, {"chunk_size": 15_000}, {"nope": 1}),
        )
        for how in hows:
            notes.ask(f"speech {how}", auto.generate, joined, **how)
        for ms, step in ((60, 960), (200, 3200), (500, 7001)):
            notes.ask(f"events by {step}", _pieces, auto, joined, step, chunk_size=ms)
    with made("models/fsmn-vad", max_single_segment_time=2000) as auto:
        notes.ask("short stretches", auto.generate, joined)


def _pieces(auto: AutoModel, samples: Any, step: int, **how: Any) -> list[object]:
    """What a stream says of each part."""
    starts, cache = range(0, len(samples), step), dict[str, Any]()
    told: list[object] = []
    for start in starts:
        part = samples[start : start + step]
        told += auto.generate(part, cache=cache, is_final=start == starts[-1], **how)
    return told


def marks_and_voices(notes: Notes) -> None:
    """`AutoModel` of what writes punctuation, and of voices."""
    english = read(Path(ENGLISH))
    for name in ("ct-transformer", "ct-transformer-dictionary"):
        with made(f"models/{name}") as auto:
            for seed, count in ((0, 1), (1, 19), (2, 61), (3, 400)):
                notes.ask(f"{name} {count}", auto.generate, _words(seed, count))
            notes.ask(f"{name} several", auto.generate, ["你好 hello", " ", "今天 the cat"])
            notes.ask(f"{name} of audio", auto.generate, english)
    with made("models/campplus") as auto:
        notes.ask("voices", auto.generate, [MANDARIN, ENGLISH, english[:8000], read(Path(JOINED))])
        notes.ask("too short a voice", auto.generate, english[:480])


def _words(seed: int, count: int) -> str:
    """Made-up text of two scripts, some of which no model knows."""
    random = np.random.default_rng(seed)
    english = ("the", "of", "hello", "iPhone", "don't", "42", "3.5")
    pieces = [
        f" {english[int(random.integers(len(english)))]} "
        if random.random() < 0.3
        else chr(0x4E00 + int(random.integers(0, 2100)))
        for _ in range(count)
    ]
    return "".join(pieces)
