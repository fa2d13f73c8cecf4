from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import UsageError
from overtone.options import loading
from overtone.options.emotion import Options
from overtone.options.transcription import TranscribeOptions


def test_defaults_stand_where_nothing_is_said() -> None:
    assert loading.load(Options) == Options()


def test_what_is_given_beats_the_environment_which_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "overtone.toml"
    path.write_text('memory = "1GiB"\nmax_segment = 10\nthreads = 3\n', encoding="utf-8")
    monkeypatch.setenv("OVERTONE_CONFIG", str(path))
    monkeypatch.setenv("OVERTONE_THREADS", "2")
    monkeypatch.setenv("OVERTONE_MAX_SEGMENT", "12.5")
    monkeypatch.setenv("OVERTONE_KEEP_SILENCE", "1")
    options = loading.load(Options, max_segment=15)
    assert (options.memory, options.threads, options.max_segment) == ("1GiB", 2, 15)
    assert options.keep_silence is True


@pytest.mark.parametrize(
    ("variable", "text", "word"),
    [
        ("OVERTONE_MEMMORY", "1GiB", "did you mean 'memory'"),
        ("OVERTONE_THREADS", "two", r"OVERTONE_THREADS=two: it has to be a whole number\."),
        ("OVERTONE_WINDOW", "4s", r"OVERTONE_WINDOW=4s: it has to be a number\."),
        ("OVERTONE_WINDOW", "0", r"^the environment variable OVERTONE_WINDOW=0: window is 0; 0\.1 to 600"),
        ("OVERTONE_MEMORY", "lots", "^the environment variable OVERTONE_MEMORY=lots: memory: 'lots' is not a size"),
        ("OVERTONE_PRECISION", "fp8", "^the environment variable OVERTONE_PRECISION=fp8: precision is 'fp8'"),
        ("OVERTONE_KEEP_SILENCE", "yes", "write 1 or 0"),
        ("OVERTONE_CONFIG", "/no/such/file", "no file"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, word: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(UsageError, match=word):
        loading.load(Options)


@pytest.mark.parametrize("text", ["model = ", "modell = 'tiny'", "\xff"])
def test_a_broken_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = tmp_path / "overtone.toml"
    path.write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("OVERTONE_CONFIG", str(path))
    with pytest.raises(UsageError, match=r"overtone\.toml"):
        loading.load(Options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#" * (65 << 10), "it is larger than 64 KiB"),
        ("a" + ".a" * 2100 + " = 1", "line 1 has more than 4,096 characters"),
        ("model = ''\nthreads =" + "[" * 4000, "its lists or tables nest too deep"),
        ("threads = [\n" + "[\n" * 4000, "its lists or tables nest too deep"),
        ("threads = " + "9" * 4080, "threads is an integer of 13554 bits; TOML's integers have 64 bits."),
        ("memory = 0x" + "f" * 4000, "memory is an integer of 16000 bits; TOML's integers have 64 bits."),
        ("threads = 9223372036854775807", "threads is 9223372036854775807; 1 to 1024 is possible."),
        ("threads = -9223372036854775809", "threads is -9223372036854775809; TOML's integers have 64 bits."),
        ("window = nan", "window is not a number."),
        ("window = -inf", "window is -inf; 0.1 to 600 is possible."),
        ("[window]\na = 1", "window is {'a': 1}; it has to be a number."),
        ("window = [[[[1]]]]", "window is [[[...]]]; it has to be a number."),
        ("model = 2024-05-01", "model is datetime.date(2024, 5, 1); it has to be text."),
        ("'" + "b" * 4000 + "' = 1", "there is no option 'bbb"),
        ("model = 'a'\nmodel = 'b'", "Can"),
    ],
    ids=range(15),
)
def test_an_odd_file_is_one_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    path = tmp_path / "overtone.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("OVERTONE_CONFIG", str(path))
    with pytest.raises(UsageError) as caught:
        loading.load(Options)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert len(str(caught.value)) < 2000


_TOML = st.sampled_from(
    ["=", "[", "]", "[[", "]]", "{", "}", ",", ".", "\n", '"', "'", "1", "-", "nan", "inf", "0x", "_", "e9", "true",
     "2024-05-01", "T00:00:00", "\\u", "#", " ", *Options.names()]
)  # fmt: skip


@given(
    st.lists(_TOML, max_size=30).map(lambda parts: "".join(parts).encode())
    | st.tuples(st.sampled_from(Options.names()), st.lists(_TOML, max_size=6)).map(
        lambda pair: f"{pair[0]} = {''.join(pair[1])}".encode()
    )
    | st.binary(max_size=60)
)
def test_any_file_gives_options_or_one_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "profile.toml")
        path.write_bytes(data)
        message = ""
        try:
            loading.load(Options, profile=path)
        except UsageError as error:
            message = str(error)
        assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threads = 'two'", "threads is 'two'; it has to be a whole number."),
        ("window = 'wide'", "window is 'wide'; it has to be a number."),
        ("keep_silence = 1", "keep_silence is 1; it has to be true or false."),
        ("model = 1", "model is 1; it has to be text."),
        ("max_segment = 0.5", "max_segment is 0.5; 1 to 600 is possible."),
    ],
)
def test_a_wrong_value_in_the_file_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    path = tmp_path / "overtone.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("OVERTONE_CONFIG", str(path))
    with pytest.raises(UsageError) as caught:
        loading.load(Options)
    assert str(caught.value) == f"{path}: {said}"


def test_values_at_odds_name_the_places_they_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "overtone.toml"
    path.write_text("window = 2.0\nmax_segment = 20.0\n", encoding="utf-8")
    monkeypatch.setenv("OVERTONE_CONFIG", str(path))
    with pytest.raises(UsageError) as caught:
        loading.load(Options, hop=3.0)
    assert str(caught.value).startswith(f"{path}: hop=3 is longer than window=2;")
    monkeypatch.setenv("OVERTONE_HOP", "3")
    with pytest.raises(UsageError) as caught:
        loading.load(Options)
    assert str(caught.value).startswith(f"{path} and the environment variable OVERTONE_HOP=3: hop=3 is longer")
    with pytest.raises(UsageError, match=r"^hop=3 is longer than window=1"):
        loading.load(Options, hop=3.0, window=1.0)
    with pytest.raises(UsageError, match=r"^threads is 0"):
        loading.load(Options, hop=1.0, threads=0)


def test_a_profile_beats_the_environment_and_is_beaten_by_what_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.toml"
    path.write_text('# found here\nprecision = "bf16"\nthreads = 3\nmax_segment = 10\n', encoding="utf-8")
    monkeypatch.setenv("OVERTONE_THREADS", "2")
    monkeypatch.setenv("OVERTONE_MEMORY", "1GiB")
    for named in (path, str(path)):
        options = loading.load(Options, profile=named, max_segment=15.0)
        assert options == Options(memory="1GiB", precision="bf16", threads=3, max_segment=15.0)
    assert loading.load(Options).threads == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (None, r"no such file; make one with `overtone tune FILES -o .*p\.toml`"),
        ("threads = ", r"p\.toml: "),
        ("\xff", r"p\.toml: "),
        ("thraeds = 2", r"p\.toml: .*did you mean 'threads'"),
        ("threads = 'two'", r"^the profile .*p\.toml: threads is 'two'"),
        ("precision = 'fp8'", r"^the profile .*p\.toml: precision is 'fp8'"),
        ("threads = 0", r"^the profile .*p\.toml: threads is 0"),
    ],
)
def test_a_profile_that_is_wrong_is_named(tmp_path: Path, text: str | None, word: str) -> None:
    path = tmp_path / "p.toml"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=word):
        loading.load(Options, profile=path)


def test_a_profile_at_odds_with_what_is_given_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("window = 2.0")
    with pytest.raises(UsageError, match=r"^the profile .*p\.toml: hop=3 is longer than window=2"):
        loading.load(Options, profile=path, hop=3.0)


def test_a_setting_for_the_transcribers_detector_leaves_emotion_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERTONE_VAD", "fsmn-vad")
    assert (loading.load(Options).vad, loading.load(TranscribeOptions).vad) == ("silero", "fsmn-vad")
    monkeypatch.setenv("OVERTONE_VAD", "none")
    assert (loading.load(Options).vad, loading.load(TranscribeOptions).vad) == ("none", "none")


def test_a_call_for_words_knows_no_option_of_emotions_alone() -> None:
    """They are no options of a transcriber, so none of them is settled when it is loaded."""
    alone = set(Options.names()) - set(TranscribeOptions.names())
    assert {"granularity", "window"} <= alone
    for name in alone:
        with pytest.raises(UsageError, match=f"there is no option '{name}'") as caught:
            TranscribeOptions().for_call(**{name: None})
        assert not alone & set(str(caught.value).partition("options are:")[2].rstrip(".").split(", "))


def test_a_call_may_leave_its_detector_out_and_not_load_another() -> None:
    assert Options().for_call(vad="none").vad == "none"
    loaded = TranscribeOptions(vad="fsmn-vad")
    assert [loaded.for_call(vad=vad).vad for vad in ("none", "silero", "fsmn-vad")] == ["none", "silero", "fsmn-vad"]
    with pytest.raises(UsageError, match=r"vad='fsmn-vad' is settled .* a call may have silero, or none\."):
        TranscribeOptions().for_call(vad="fsmn-vad")


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"precision": "fp8"}, "fp32, tf32, bf16, fp16, int8"),
        ({"segment": "words"}, "vad, window, none"),
        ({"max_segment": 0.2}, "max_segment"),
        ({"max_segment": float("nan")}, "max_segment"),
        ({"max_segment": "30"}, "max_segment"),
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
        ({"threads": 1.5}, "threads"),
        ({"memory": "lots"}, "2GiB"),
        ({"window": 2.0, "hop": 3.0}, "hop=3"),
        ({"vad": "fsmn-vad"}, "silero, none"),
        ({"vad": 1}, "vad"),
        ({"keep_silence": "no"}, "keep_silence"),
    ],
)
def test_a_value_that_cannot_be_is_refused_when_options_are_made(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Options(**wrong)


def test_the_longest_segment_is_known() -> None:
    assert Options().longest_s == 30
    assert Options(segment="window", window=4).longest_s == 4.5
