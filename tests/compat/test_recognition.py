"""`overtone.compat.AutoModel` for what was said, beside FunASR's own on the same checkpoints."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.clips import CLIPS, buzz
from helpers.converting import converting_here
from helpers.oracles import ct_transformer
from overtone.compat import AutoModel, IgnoredArgumentWarning, rich_transcription_postprocess
from overtone.errors import CheckpointError, InputError, UsageError

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")
pytest.importorskip("jieba", reason="jieba, whose dictionary punctuation goes by, is not installed")

RATE = 16_000
MANDARIN = CLIPS / "speech/wenet/aishell-BAC009S0724W0121.wav"
ENGLISH = CLIPS / "speech/wenet/librispeech-1995-1837-0001.wav"

Record = dict[str, Any]

IGNORED = pytest.mark.filterwarnings("ignore::overtone.compat.IgnoredArgumentWarning")
"""For calls that say more than the model heeds."""


@pytest.fixture(scope="module", autouse=True)
def _on_one_thread(quickly_loaded: None) -> Iterator[None]:
    """Ours on the backend that is the default, as a script's models are; FunASR's on as few threads. Ours are converted
    and decode within this process: how that is done elsewhere is tested elsewhere."""
    threads = torch.get_num_threads()
    from threadpoolctl import threadpool_limits  # which comes with FunASR

    with pytest.MonkeyPatch.context() as patch, converting_here(), threadpool_limits(1):
        patch.setenv("OVERTONE_THREADS", "1")
        patch.setenv("OVERTONE_DECODE", "threads")
        yield
    torch.set_num_threads(threads)  # FunASR sets it


def _argument(model: str) -> str:
    return "punc_model" if model == "dictionary" else f"{model}_model"


Answers = dict[bytes, Any]
"""What a network of FunASR's has said, by all that it was asked."""


def remember(network: Any, known: Answers) -> None:
    """Have a network of FunASR's compute what it is asked once, and say the same when it is asked that again."""
    infer = network.inference

    def remembered(data_in: list[Any], *, key: list[str], **how: Any) -> Any:
        plain = {name: value for name, value in how.items() if isinstance(value, bool | int | float | str | list)}
        data = [one.numpy() if isinstance(one, torch.Tensor) else one for one in data_in]
        asked = pickle.dumps((data, sorted(plain.items())))
        if asked not in known:
            known[asked] = infer(data_in=data_in, key=key, **how)
        results, *more = copy.deepcopy(known[asked])
        for result, name in zip(results, key, strict=True):
            if "key" in result:
                result["key"] = name  # a random one, where samples were given
        return results, *more

    network.inference = remembered


class Pairs:
    """Our models and FunASR's, each made once. A stack is a recognizer and what goes with it: `bicif+vad+punc`."""

    def __init__(self, models: dict[str, str]) -> None:
        self._models = models
        self._ours: dict[str, AutoModel] = {}
        self._full: dict[str, Any] = {}
        self._voices: Answers = {}
        self._speech: Answers = {}

    def ours(self, stack: str, **arguments: Any) -> AutoModel:
        name = f"{stack} {arguments}"
        if name not in self._ours:
            kind, *beside = stack.split("+")
            folders = {_argument(one): self._models[one] for one in beside}
            self._ours[name] = AutoModel(
                self._models[kind], **folders, **arguments, device="cpu", memory="4GiB", disable_update=True
            )
        return self._ours[name]

    def theirs(self, stack: str, **arguments: Any) -> Any:
        kind, *beside = stack.split("+")
        marks = "dictionary" if "dictionary" in beside else "punc"
        name = f"{kind} {marks} {arguments}"
        if name not in self._full:
            small = kind in ("vad", "punc", "spk", "streaming")
            folders = {} if small else {_argument(one): self._models[one] for one in ("vad", marks, "spk")}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import funasr

                self._full[name] = funasr.AutoModel(
                    model=self._models[kind],
                    **folders,
                    **arguments,
                    disable_update=True,
                    disable_pbar=True,
                    device="cpu",
                    ncpu=1,
                )
                torch.set_num_threads(1)
            # The same speech comes up in case after case, and these networks are the same in all of the models.
            for network, known in (("spk_model", self._voices), ("vad_model", self._speech)):
                if getattr(self._full[name], network, None) is not None:
                    remember(getattr(self._full[name], network), known)
        # A call may leave another mode behind in FunASR's.
        made = copy.copy(self._full[name])
        for one in {"vad", marks, "spk"} - {*beside}:
            setattr(made, _argument(one), None)
        return made

    def close(self) -> None:
        for ours in self._ours.values():
            ours.close()


@pytest.fixture(scope="module")
def pairs(models: dict[str, str]) -> Iterator[Pairs]:
    made = Pairs(models)
    yield made
    made.close()


def ask(oracle: Any, *args: Any, **kwargs: Any) -> list[Record]:
    np.random.seed(0)  # its clusters are drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: list[Record] = oracle.generate(*args, **kwargs)
    return result


def read(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    return np.asarray(samples)


@pytest.fixture(scope="module")
def joined() -> np.ndarray:
    """Mandarin, English and a made-up voice, two of them again, with pauses between. FunASR tells these apart whatever
    it draws at random; many others it does not."""
    pause = (1e-4 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    mandarin, english = read(MANDARIN), read(ENGLISH)
    parts = [mandarin, english[: 6 * RATE], buzz(6, seed=3), mandarin, buzz(5, seed=3)]
    return np.concatenate([piece for part in parts for piece in (part, pause)])


def same(ours: list[Record], theirs: list[Record], *, but: tuple[str, ...] = ()) -> None:
    """Everything is equal, times to the millisecond; random keys are random in both. but: what is left out of
    sentences."""
    assert len(ours) == len(theirs)
    for mine, yours in zip(ours, theirs, strict=True):
        assert set(mine) == set(yours)
        for name in mine:
            if name == "key" and yours["key"].startswith("rand_key_"):
                assert mine["key"].startswith("rand_key_")
            elif name == "spk_embedding_center":
                same_voices(mine[name], yours[name])
            elif name == "sentence_info":
                assert without(mine[name], but) == without(yours[name], but)
            else:
                assert mine[name] == yours[name], name


def same_voices(mine: np.ndarray, yours: np.ndarray) -> None:
    """Embeddings are equal to 2e-3 of their lengths: the network makes ten times as much of how a Fourier transform
    rounds in filters that hear next to nothing (`tests/models/campplus/test_campplus.py`); what is seen is 5e-4."""
    assert mine.shape == yours.shape
    assert (np.linalg.norm(mine - yours, axis=1) <= 2e-3 * np.linalg.norm(yours, axis=1)).all()


def without(sentences: list[Record], parts: tuple[str, ...]) -> list[Record]:
    return [{name: value for name, value in one.items() if name not in parts} for one in sentences]


ARGUMENTS: dict[str, Record] = {
    "nothing": {},
    "times": {"output_timestamp": True},
    "sentences": {"sentence_timestamp": True, "return_raw_text": True},
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
    "joined": {
        "merge_vad": True,
        "merge_length_s": 15,
        "return_spk_res": False,
        "language": "zn",
        "text_norm": "withitn",
    },
    "patient": {"max_end_silence_time": 300, "sentence_timestamp": True, "return_spk_res": False},
    "two": {"preset_spk_num": 2},
}

CASES = [
    *((f"{kind}{stack}", "everything") for kind in ("sensevoice", "bicif") for stack in ("", "+vad+punc+spk")),
    *((f"{kind}+vad+punc+spk", name) for kind in ("sensevoice", "bicif") for name in ("joined", "patient")),
    *((f"{kind}{stack}", "sentences") for kind in ("sensevoice", "plain") for stack in ("+vad", "+vad+punc")),
    *((f"{kind}{stack}", "nothing") for kind in ("sensevoice", "bicif", "plain") for stack in ("", "+punc")),
    ("sensevoice+vad+punc", "times"),
    *((f"{kind}+vad+dictionary", "everything") for kind in ("sensevoice", "bicif")),
    ("bicif+vad", "sentences"),
    ("bicif+vad+punc+spk", "two"),
    ("bicif+vad+spk", "everything"),
    ("seaco+vad+punc", "everything"),
]


@IGNORED
@pytest.mark.parametrize(("stack", "name"), CASES)
def test_results_are_funasrs(
    pairs: Pairs, joined: np.ndarray, monkeypatch: pytest.MonkeyPatch, stack: str, name: str
) -> None:
    from funasr.auto import auto_model

    ours, theirs, arguments = pairs.ours(stack), pairs.theirs(stack), ARGUMENTS[name]
    inputs = [joined, str(ENGLISH)] if name == "everything" else joined
    if not stack.startswith("sensevoice"):
        monkeypatch.setattr(theirs.model, "inference", theirs.model.inference)  # as it is to be again
        remember(theirs.model, {})  # it is asked twice below
    got, expected = ours.generate(inputs, **arguments), ask(theirs, inputs, **arguments)
    if not stack.startswith("sensevoice"):
        # FunASR 1.4.16 joins what Paraformers say in two segments without the blank that it then parts it by, so that
        # the words of its sentences are one off after each joint. All else of them is as it should be...
        same(got, expected, but=("text", "raw_text"))
        # ... and so are the words, with the blank.
        monkeypatch.setattr(auto_model, "_join_vad_texts", " ".join)
        expected = ask(theirs, inputs, **arguments)
    if name == "everything" and stack.startswith("sensevoice") and "vad" not in stack:
        assert all(one["words"] for one in got)
    same(got, expected)


@pytest.mark.slow
def test_pytorch_says_the_same(
    models: dict[str, str], pairs: Pairs, joined: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERTONE_BACKEND", "torch")
    beside = {"vad_model": models["vad"], "punc_model": models["punc"], "spk_model": models["spk"]}
    ours = AutoModel(models["sensevoice"], **beside, device="cpu", memory="4GiB")
    same(ours.generate(joined), ask(pairs.theirs("sensevoice+vad+punc+spk"), joined))
    ours.close()


@IGNORED
@pytest.mark.parametrize("stack", ["sensevoice+vad+punc+spk", "seaco+vad+punc"])
def test_a_call_changes_nothing(pairs: Pairs, joined: np.ndarray, stack: str) -> None:
    ours = pairs.ours(stack)
    some = joined[: 10 * RATE]  # two voices
    before = ours.generate(some, key="x")
    for arguments in ARGUMENTS.values():
        ours.generate(joined[: 4 * RATE], **arguments)
    assert ours.generate(some, key="x") == before


def test_the_audio_is_cut_and_its_speakers_are_told_apart(pairs: Pairs, joined: np.ndarray) -> None:
    (found,) = pairs.ours("bicif+vad+spk").generate(joined)
    assert [one["spk"] for one in found["sentence_info"]] == [0, 1, 2, 0, 2]
    assert len(pairs.ours("vad").generate(joined)[0]["value"]) == 5


@pytest.mark.parametrize("stack", ["sensevoice+vad+punc+spk", "bicif+vad+spk"])
def test_speakers_of_whole_segments(models: dict[str, str], pairs: Pairs, joined: np.ndarray, stack: str) -> None:
    theirs = pairs.theirs(stack)
    theirs.spk_mode = "vad_segment"
    same(pairs.ours(stack, spk_mode="vad_segment").generate(joined), ask(theirs, joined))


def test_segments_are_as_long_as_the_model_is_told(pairs: Pairs, joined: np.ndarray) -> None:
    how = {"vad_kwargs": {"max_single_segment_time": 3000, "max_end_silence_time": 200}, "merge_length_s": 4}
    ours, theirs = pairs.ours("sensevoice+vad", **how), pairs.theirs("sensevoice+vad", **how)
    for arguments in ({}, {"merge_vad": True}, {"merge_vad": True, "output_timestamp": True}):
        same(ours.generate(joined, **arguments), ask(theirs, joined, **arguments))
    # FunASR heeds a length that is given with the call no more.
    assert ours.generate(joined, merge_vad=True, merge_length_s=2) != ours.generate(joined, merge_vad=True)
    with pytest.raises(UsageError, match="merge_length_s"):
        ours.generate(joined, merge_vad=True, merge_length_s=20)


def test_arguments_of_the_model_are_what_calls_begin_with(pairs: Pairs) -> None:
    ours, plain = pairs.ours("sensevoice", language="zh", output_timestamp=True), pairs.ours("sensevoice")
    path = str(MANDARIN)
    assert ours.generate(path) == plain.generate(path, language="zh", output_timestamp=True)
    assert ours.generate(path, language="en") == plain.generate(path, language="en", output_timestamp=True)


@pytest.mark.parametrize("stack", ["sensevoice", "bicif+vad"])
def test_inputs_of_any_kind(pairs: Pairs, tmp_path: Path, stack: str) -> None:
    ours, theirs = pairs.ours(stack), pairs.theirs(stack)
    samples = read(MANDARIN)
    listed = tmp_path / "wav.scp"
    listed.write_text(f"a {MANDARIN}\nb {ENGLISH}\n", encoding="utf-8")
    for one in (str(MANDARIN), [str(MANDARIN), samples, str(ENGLISH)], MANDARIN.read_bytes(), str(listed)):
        same(ours.generate(one), ask(theirs, one))
    (expected,) = ours.generate(samples)
    whole = (samples * 32768).astype(np.int16)
    for one in (whole, whole.tobytes(), io.BytesIO(MANDARIN.read_bytes()), torch.from_numpy(samples)):
        (found,) = ours.generate(one)
        assert {**found, "key": ""} == {**expected, "key": ""}
    assert ours.generate(samples, key="mine")[0]["key"] == "mine"
    assert [one["key"] for one in ours.generate([str(ENGLISH), str(MANDARIN)])] == [ENGLISH.stem, MANDARIN.stem]
    seen: list[tuple[int, int]] = []
    ours.generate([samples, samples], progress_callback=lambda *told: seen.append(told))
    assert seen == [(1, 2), (2, 2)]


def test_audio_without_speech(pairs: Pairs) -> None:
    noise = (1e-5 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    for stack in ("sensevoice", "bicif", "sensevoice+vad+punc+spk"):
        same(pairs.ours(stack).generate(noise), ask(pairs.theirs(stack), noise))
    # FunASR has no key for it there: [{"text": ""}].
    (found,) = pairs.ours("plain").generate(noise[:800], key="x")
    assert found["key"] == "x"


def test_hot_words(pairs: Pairs, tmp_path: Path) -> None:
    ours, theirs = pairs.ours("seaco"), pairs.theirs("seaco")
    listed = tmp_path / "words.txt"
    listed.write_text("the cat\nsensible\n\n", encoding="utf-8")
    listed_without_blank = tmp_path / "others.txt"
    listed_without_blank.write_text("the cat\nsensible\n", encoding="utf-8")
    path = str(ENGLISH)
    plain = ours.generate(path)
    for words in ("sensible the cat", str(listed_without_blank)):
        same(ours.generate(path, hotword=words), ask(theirs, path, hotword=words))
    assert ours.generate(path, hotword=str(listed)) == ours.generate(path, hotword=str(listed_without_blank))
    assert ours.generate(path, hotword="sensible the cat") != plain == ours.generate(path)
    for broken in (["a", "b"], str(tmp_path / "no.txt")):
        with pytest.raises(UsageError, match="hotword"):
            ours.generate(path, hotword=broken)


def test_a_hot_word_that_is_too_long_is_left_out_with_a_warning(pairs: Pairs) -> None:
    ours, path = pairs.ours("seaco"), str(ENGLISH)
    with pytest.warns(IgnoredArgumentWarning, match="more than 32 characters"):
        found = ours.generate(path, hotword=f"sensible {'x' * 33} dashwood")
    assert found == ours.generate(path, hotword=f"sensible dashwood {'y' * 40}")  # it is said once
    assert found == ours.generate(path, hotword="sensible dashwood") != ours.generate(path, hotword="")


def test_a_list_of_hot_words_elsewhere_is_refused(pairs: Pairs) -> None:
    with pytest.raises(UsageError, match="is not fetched here"):
        pairs.ours("seaco").generate(str(ENGLISH), hotword="https://example.com/words.txt")


@pytest.mark.parametrize("stack", ["sensevoice", "sensevoice+vad"])
@pytest.mark.parametrize("times", [False, True])
def test_an_emotion_is_named_where_the_unknown_one_is_not_allowed(
    pairs: Pairs, joined: np.ndarray, stack: str, times: bool
) -> None:
    """FunASR knows that tag by its number in the published vocabulary; here the small one's tag of the mood that is
    heard anyhow is made the unknown one, in both."""
    ours, theirs = pairs.ours(stack), pairs.theirs(stack)
    inputs, how = [joined[: 6 * RATE], str(ENGLISH)], {"output_timestamp": times}
    task = ours._adapter._transcriber.task  # type: ignore[attr-defined]
    (plain, _) = ours.generate(inputs, **how)
    heard = next(tag for tag in ("<|NEUTRAL|>", "<|HAPPY|>", "<|SAD|>") if tag in plain["text"])
    number = [task.pieces[token] for token in range(len(task.pieces))].index(heard)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "_unknown_emotion", number)
        patch.setitem(theirs.model.emo_dict, "unk", number)
        found = ours.generate(inputs, ban_emo_unk=True, **how)
        same(found, ask(theirs, inputs, ban_emo_unk=True, **how))
    assert heard not in found[0]["text"]
    assert found[0]["text"] != plain["text"]


@pytest.mark.parametrize(
    "how", [{}, {"max_single_segment_time": 2000}, {"max_end_silence_time": 200}, {"speech_noise_thres": 0.9}]
)
def test_speech_is_found_where_funasr_finds_it(pairs: Pairs, joined: np.ndarray, how: Record) -> None:
    ours, theirs = pairs.ours("vad", **how), pairs.theirs("vad", **how)
    inputs = [joined, str(MANDARIN), str(ENGLISH), buzz(0.5)]
    assert [one["value"] for one in ours.generate(inputs)] == [one["value"] for one in ask(theirs, inputs)]
    (found,) = ours.generate(str(MANDARIN))
    assert found["key"] == MANDARIN.stem
    assert len(ours.generate(joined)[0]["value"]) > 3


def test_how_speech_is_found_may_be_said_with_a_call(pairs: Pairs, joined: np.ndarray) -> None:
    ours = pairs.ours("vad")
    plain = ours.generate(joined, key="x")
    for how in ({"max_end_silence_time": 150}, {"dynamic_silence": False}, {"chunk_size": 15_000}):
        # FunASR keeps `max_end_silence_time` for the calls that follow: so a model of its own for each.
        theirs = pairs.theirs("vad", seed=len(str(how)))
        assert ours.generate(joined, **how)[0]["value"] == ask(theirs, joined, **how)[0]["value"]
    assert ours.generate(joined, key="x") == plain


@pytest.mark.parametrize(("chunk_ms", "size"), [(60, 960), (105, 7001), (200, 3200), (500, 7001), (1000, 16_000)])
def test_events_of_a_stream_are_told_when_funasr_tells_them(
    pairs: Pairs, joined: np.ndarray, chunk_ms: int, size: int
) -> None:
    ours, theirs, samples = pairs.ours("vad"), pairs.theirs("vad"), joined[: 12 * RATE]
    starts = range(0, len(samples), size)
    mine, yours = {}, {}  # type: ignore[var-annotated] # as a script has them
    events = 0
    for _ in range(2 if chunk_ms == 200 else 1):  # a cache can be used again
        for start in starts:
            part, how = samples[start : start + size], {"is_final": start == starts[-1], "chunk_size": chunk_ms}
            (got,), (expected,) = ours.generate(part, cache=mine, **how), ask(theirs, part, cache=yours, **how)
            assert got["value"] == expected["value"], start
            events += len(got["value"])
        assert mine == {}
    assert events > 2


def test_a_stream_in_large_chunks_is_cut_when_funasr_cuts_it(pairs: Pairs, joined: np.ndarray) -> None:
    """Its last call is no file of its own: the speech of the calls before it is in the cache."""
    ours, theirs, samples = pairs.ours("vad"), pairs.theirs("vad"), joined[: 4 * RATE]
    for how in ({}, {"chunk_size": 20_000}, {"chunk_size": 60_000}):
        starts, mine, yours = range(0, len(samples), 3200), {}, {}  # type: ignore[var-annotated] # as a script has them
        found = []
        for start in starts:
            part, last = samples[start : start + 3200], {"is_final": start == starts[-1]}
            (got,), (expected,) = (
                ours.generate(part, cache=mine, **last, **how),
                ask(theirs, part, cache=yours, **last, **how),
            )
            assert got["value"] == expected["value"], (how, start)
            found += got["value"]
        assert found
        assert mine == {}


def test_a_cache_of_another_models_stream_is_refused(pairs: Pairs) -> None:
    for one, other in (("vad", "streaming"), ("streaming", "vad")):
        cache: Record = {}
        how = {"vad": {"chunk_size": 200}, "streaming": PUBLISHED}
        pairs.ours(one).generate(buzz(0.4), cache=cache, is_final=False, **how[one])
        with pytest.raises(UsageError, match="another model"):
            pairs.ours(other).generate(buzz(0.4), cache=cache, is_final=False, **how[other])


def test_a_stream_stays_as_it_began(pairs: Pairs) -> None:
    ours, part = pairs.ours("vad"), buzz(0.4)
    cache: Record = {"mine": 1}
    ours.generate(part, cache=cache, chunk_size=200)
    assert set(cache) == {"mine", "overtone"}
    with pytest.raises(UsageError, match="options of a stream"):
        ours.generate(part, cache=cache, chunk_size=100)
    with pytest.raises(UsageError, match="fs=8000"):
        ours.generate(part, cache={}, chunk_size=200, fs=8000)
    with pytest.raises(UsageError, match="shape"):
        ours.generate(np.stack([part, part]), cache={}, chunk_size=200)
    # FunASR does not end a stream whose last part is empty; here it ends.
    ours.generate(part[:0], cache=cache, chunk_size=200, is_final=True)
    assert cache == {"mine": 1}


@pytest.mark.parametrize("seed", [0, 1])
def test_punctuation_is_funasrs(pairs: Pairs, tmp_path: Path, seed: int) -> None:
    ours, theirs = pairs.ours("punc"), pairs.theirs("punc")
    texts = [ct_transformer.text(count, seed=seed) for count in (1, 19, 61)]
    listed = tmp_path / "texts.txt"
    listed.write_text("a 你好 hello\nb 今天\n", encoding="utf-8")
    for given_text in (*texts, texts, str(listed)):
        got, expected = ours.generate(given_text), ask(theirs, given_text)
        assert [one["text"] for one in got] == [one["text"] for one in expected]
        for mine, yours in zip(got, expected, strict=True):
            assert mine["punc_array"].dtype == yours["punc_array"].dtype
            assert mine["punc_array"].tolist() == yours["punc_array"].tolist()
    assert [one["key"] for one in ours.generate(str(listed))] == ["a", "b"]
    (blank,) = ours.generate(" ", key="k")
    assert blank == {"key": "k", "text": "", "punc_array": None}
    with pytest.raises(UsageError, match="takes text"):
        ours.generate(buzz(1))


def test_voices_are_funasrs(pairs: Pairs) -> None:
    ours, theirs = pairs.ours("spk"), pairs.theirs("spk")
    inputs = [str(MANDARIN), buzz(0.3), buzz(2.75, seed=1)]
    got, expected = ours.generate(inputs), ask(theirs, inputs)
    for mine, yours in zip(got, expected, strict=True):
        assert set(mine) == set(yours) == {"spk_embedding"}
        assert mine["spk_embedding"].shape == yours["spk_embedding"].shape
        same_voices(np.asarray(mine["spk_embedding"]), yours["spk_embedding"].detach().numpy())
    with pytest.raises(InputError, match="too short"):
        ours.generate(buzz(0.03))
    with pytest.raises(InputError, match="more than 600 s"):
        ours.generate(np.zeros(601 * RATE, np.float32))


PUBLISHED = {"chunk_size": [0, 10, 5], "encoder_chunk_look_back": 4, "decoder_chunk_look_back": 1}


@pytest.mark.parametrize("step", [9600, 4801])
def test_text_of_a_stream_is_told_when_funasr_tells_it(pairs: Pairs, step: int) -> None:
    ours, theirs, samples = pairs.ours("streaming"), pairs.theirs("streaming"), read(ENGLISH)[: 7 * RATE]
    starts = range(0, len(samples), step)
    mine, yours = {}, {}  # type: ignore[var-annotated] # as a script has them
    for start in starts:
        part, how = samples[start : start + step], {"is_final": start == starts[-1], **PUBLISHED}
        same(ours.generate(part, cache=mine, **how), ask(theirs, part, cache=yours, **how))
    assert mine == {}
    same(ours.generate(str(ENGLISH), **PUBLISHED), ask(theirs, str(ENGLISH), **PUBLISHED))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunk_size": [0, 8, 4], "encoder_chunk_look_back": 4, "decoder_chunk_look_back": 1},
        {"chunk_size": [5, 10, 5], "encoder_chunk_look_back": 4, "decoder_chunk_look_back": 0},
        {"chunk_size": (0, 10, 5), "encoder_chunk_look_back": 2},
        {"encoder_chunk_look_back": -1, "decoder_chunk_look_back": -1},
    ],
)
def test_a_stream_is_cut_as_a_call_says(pairs: Pairs, how: Record) -> None:
    ours, theirs, samples = pairs.ours("streaming"), pairs.theirs("streaming"), read(ENGLISH)[: 5 * RATE]
    starts = range(0, len(samples), 7680)
    mine, yours = {}, {}  # type: ignore[var-annotated] # as a script has them
    for start in starts:
        part, call = samples[start : start + 7680], {"is_final": start == starts[-1], **how}
        same(ours.generate(part, cache=mine, **call), ask(theirs, part, cache=yours, **call))
    same(ours.generate(str(ENGLISH), **how), ask(theirs, str(ENGLISH), **how))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"chunk_size": 10}, "three numbers"),
        ({"chunk_size": [0, 10]}, "three numbers"),
        ({"chunk_size": [0, 10.5, 5]}, "a whole number from 0"),
        ({"chunk_size": [0, 10, 0]}, "1 or more before or ahead"),
        ({"chunk_size": [0, 0, 5]}, "1 frame or more"),
        ({"chunk_size": [0, 2000, 5]}, "1,000 frames"),
        ({"encoder_chunk_look_back": "4"}, "encoder_chunk_look_back='4'"),
        ({"decoder_chunk_look_back": 1000}, "1,000 frames"),
    ],
)
def test_streams_that_cannot_be_cut_so_are_refused(pairs: Pairs, how: Record, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        pairs.ours("streaming").generate(buzz(1), **{**PUBLISHED, **how})


def test_a_stream_is_cut_in_one_way_to_its_end(pairs: Pairs) -> None:
    cache: Record = {}
    pairs.ours("streaming").generate(buzz(0.4), cache=cache, **PUBLISHED)
    with pytest.raises(UsageError, match="until is_final=True"):
        pairs.ours("streaming").generate(buzz(0.4), cache=cache, **{**PUBLISHED, "chunk_size": [0, 8, 4]})


TAGS = ["<|zh|>", "<|en|>", "<|nospeech|>", "<|HAPPY|>", "<|SAD|>", "<|NEUTRAL|>", "<|EMO_UNKNOWN|>", "<|Speech|>"]
TAGS += ["<|BGM|>", "<|Laughter|>", "<|Cough|>", "<|Event_UNK|>", "<|withitn|>", "<|woitn|>"]


@given(st.lists(st.sampled_from([*TAGS, "<|nospeech|><|Event_UNK|>", " ", "你好。", "The.", "well", "😊", "🎼"])))
@settings(max_examples=300)
def test_tags_are_shown_as_funasr_shows_them(parts: list[str]) -> None:
    from funasr.utils.postprocess_utils import rich_transcription_postprocess as theirs

    text = "".join(parts)
    assert rich_transcription_postprocess(text) == theirs(text)


@pytest.mark.parametrize(
    ("stack", "how", "word"),
    [
        ("sensevoice", {"output_dir": "x"}, "output_dir"),
        ("sensevoice", {"postprocess_hotwords": "a=>b"}, "postprocess_hotwords"),
        ("sensevoice", {"langauge": "zh"}, "langauge"),
        ("sensevoice", {"text_norm": "x"}, "text_norm"),
        ("sensevoice+vad", {"speech_noise_thres": "x"}, "speech_noise_thres"),
        ("bicif+vad+spk", {"preset_spk_num": 0}, "preset_spk_num"),
        ("plain", {"output_timestamp": True}, "output_timestamp"),
        ("vad", {"max_single_segment_time": 3000}, "max_single_segment_time"),
        ("punc", {"split_size": 10}, "split_size"),
        ("sensevoice", {"fp16": True}, "fp16"),
        ("sensevoice", {"data_type": ("sound", "text")}, "data_type"),
        ("bicif", {"decoding_ctc_weight": 0.3}, "decoding_ctc_weight"),
    ],
)
def test_what_is_not_done_is_refused_by_name(pairs: Pairs, stack: str, how: Record, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        pairs.ours(stack).generate(buzz(1.0), **how)


@pytest.mark.parametrize(
    ("kind", "how", "word"),
    [
        ("sensevoice", {"langauge": "zh"}, "langauge"),
        ("sensevoice", {"vda_model": "vad"}, "vda_model"),
        ("sensevoice", {"vad_model": "vad", "vad_kwargs": {"max_single_segmnt_time": 3}}, "max_single_segmnt_time"),
        ("bicif", {"ctc_weight": 0.5}, "ctc_weight"),
        ("bicif", {"encoder_conf": {}, "encoder": "Conformer"}, "encoder"),
        ("sensevoice", {"vad_model": "vad", "spk_model": "spk", "spk_kwargs": {"cb_kwargs": {"x": 1}}}, "cb_kwargs"),
        ("sensevoice", {"vad_model": "vad", "spk_model": "spk", "spk_mode": "x"}, "spk_mode"),
        ("sensevoice", {"fp16": True}, "fp16"),
        ("sensevoice", {"hub": "x"}, "hub"),
        ("vad", {"vad_model": "vad"}, "vad_model"),
        ("sensevoice", {"vad_model": "punc"}, "voice activity detection"),
        ("sensevoice", {"punc_model": "vad"}, "punctuation"),
    ],
)
def test_what_a_model_cannot_be_made_with_is_refused_by_name(
    models: dict[str, str], kind: str, how: Record, word: str
) -> None:
    how = {name: models[value] if name.endswith("_model") else value for name, value in how.items()}
    with pytest.raises((UsageError, CheckpointError), match=word):
        AutoModel(models[kind], device="cpu", **how)


@IGNORED
def test_what_changes_nothing_is_ignored(models: dict[str, str], pairs: Pairs) -> None:
    with_all = {
        "trust_remote_code": True,
        "remote_code": "./model.py",
        "disable_pbar": True,
        "spk_model": models["spk"],
    }
    ours = AutoModel(models["sensevoice"], device="cpu", memory="4GiB", vad_model=None, vad_kwargs={}, **with_all)
    path = str(MANDARIN)
    found = ours.generate(input=path, cache={}, language="auto", use_itn=True, batch_size=64, ban_emo_unk=False)
    assert found == pairs.ours("sensevoice").generate(path, use_itn=True)
    assert ours.model_path == models["sensevoice"]
    ours.close()


def test_an_input_that_cannot_be_used_is_an_error_as_in_funasr(pairs: Pairs) -> None:
    for stack in ("sensevoice", "vad", "spk"):
        with pytest.raises(InputError, match=r"no\.wav"):
            pairs.ours(stack).generate("no.wav")
    with pytest.raises(InputError):
        pairs.ours("bicif").generate(buzz(0.01))
