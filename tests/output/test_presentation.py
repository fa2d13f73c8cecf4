"""Methods of results: the same records, rows and files as a command writes."""

from __future__ import annotations

import builtins
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.results import LABELS, failed, failed_transcript, frames, result, segment, sentence, transcript
from overtone import EmotionResult, Result, SegmentResult, Span, Transcript, UsageError
from overtone.output.formats import FORMATS, open_sink
from overtone.output.records import DETAILS, Level, json_chunks, to_record

GRANULARITIES = ("utterance", "segment", "frame")


@pytest.fixture
def framed() -> Any:
    with frames(7) as some:
        yield result(frames=some)


def written(path: Path, whole: Result, level: Level, **how: Any) -> bytes:
    """What a command writes."""
    with open_sink(str(path), granularity=level, **how) as sink:
        sink.write(whole)
    return path.read_bytes()


# Records


@pytest.mark.parametrize("level", GRANULARITIES)
def test_the_dict_of_an_emotion_is_its_record(framed: EmotionResult, level: Level) -> None:
    assert framed.to_dict(level) == to_record(framed, granularity=level)
    assert framed.to_json(level) == "".join(json_chunks(framed, level))
    assert json.loads(framed.to_json(level, indent=2)) == framed.to_dict(level)


@pytest.mark.parametrize("level", DETAILS)
def test_the_dict_of_a_transcript_is_its_record(level: Level) -> None:
    whole = transcript()
    assert whole.to_dict(level) == to_record(whole, granularity=level)
    assert whole.to_json(level) == "".join(json_chunks(whole, level))


def test_without_a_granularity_all_of_it_is_there(framed: EmotionResult) -> None:
    assert framed.to_dict() == framed.to_dict("frame")
    assert result().to_dict() == result().to_dict("segment")
    assert "frames" not in result().to_dict()
    assert transcript().to_dict() == transcript().to_dict("word")
    assert transcript().to_dict()["sentences"][0]["words"]


def test_the_record_of_a_failed_input_has_its_error() -> None:
    for whole in (failed(), failed_transcript()):
        record = json.loads(whole.to_json())
        assert record["error"] == {"code": "not_audio", "message": "broken.wav: not audio"}
        assert not {"label", "text", "segments", "sentences"} & record.keys()


@pytest.mark.parametrize(
    ("whole", "level"), [(result(), "word"), (transcript(), "segment"), (transcript(), "frame"), (result(), "second")]
)
def test_a_granularity_of_another_kind_is_refused(whole: Result, level: Any, tmp_path: Path) -> None:
    known = ", ".join(DETAILS if isinstance(whole, Transcript) else GRANULARITIES)
    for ask in (whole.to_dict, whole.to_json, whole.to_frame, lambda level: whole.save(tmp_path / "a.csv", level)):
        with pytest.raises(UsageError, match=f"granularity of this result is {known}, not '{level}'"):
            ask(level)
    assert list(tmp_path.iterdir()) == []


def test_frames_that_were_not_asked_for_are_refused(tmp_path: Path) -> None:
    whole = result()
    for ask in (whole.to_dict, whole.to_json, whole.to_frame, lambda level: whole.save(tmp_path / "a.csv", level)):
        with pytest.raises(UsageError, match="no frames; call the recognizer with granularity='frame'"):
            ask("frame")  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []
    silent = result(
        label="silence", score=None, scores=None, shares=None, pooled=None, segments=[segment(0, 16_000, None)]
    )
    assert silent.to_dict("frame")["frames"] is None
    assert failed().to_dict("frame")["error"]["code"] == "not_audio"


# Rows


@pytest.mark.parametrize("level", GRANULARITIES)
def test_a_frame_has_the_rows_of_the_csv(framed: EmotionResult, level: Level, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    table = framed.to_frame(level)
    of_file = pd.read_csv(io.BytesIO(written(tmp_path / "a.csv", framed, level, labels=LABELS)))
    assert list(table.columns) == list(of_file.columns)
    assert len(table) == len(of_file) == {"utterance": 1, "segment": 3, "frame": 7}[level]
    for column in ("label", *(["start", "end"] if level != "utterance" else ["duration"])):
        assert table[column].tolist() == of_file[column].tolist()
    for column in ("score", *LABELS):
        assert table[column].fillna(-1).tolist() == pytest.approx(of_file[column].fillna(-1).tolist())
        assert table[column].dtype == "float64"


@pytest.mark.parametrize("level", DETAILS)
def test_a_frame_of_a_transcript_has_the_rows_of_the_parquet(level: Level, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    whole = transcript(channel=1)
    table = whole.to_frame(level)
    of_file = pd.read_parquet(io.BytesIO(written(tmp_path / "a.parquet", whole, level)))
    assert list(table.columns) == list(of_file.columns)
    assert table["channel"].tolist() == [1] * len(of_file)
    assert table["text"].tolist() == of_file["text"].tolist()
    if level != "text":
        assert table["speaker"].astype(object).where(table["speaker"].notna(), None).tolist() == [0, 1, None]
    if level == "word":
        # Parquet has confidences as float32.
        ours = [[{**word, "confidence": np.float32(word["confidence"])} for word in row] for row in table["words"]]
        assert ours == [list(words) for words in of_file["words"]]


def test_a_frame_of_a_failed_input_has_one_row_with_the_error() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    for whole in (failed(), failed_transcript()):
        (row,) = whole.to_frame().to_dict("records")
        assert (row["error_code"], row["error_message"]) == ("not_audio", "broken.wav: not audio")


def test_without_pandas_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="pip install pandas") as caught:
        result().to_frame()
    assert caught.value.code == "missing_extra"


# Files


@pytest.mark.parametrize("ending", FORMATS)
def test_a_saved_result_is_what_a_command_writes(ending: str, tmp_path: Path) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    for whole, level, how in ((result(), "segment", {"labels": LABELS}), (transcript(), "word", {})):
        saved = tmp_path / "new" / f"a.{ending}"
        whole.save(saved)
        assert saved.read_bytes() == written(tmp_path / f"b.{ending}", whole, level, **how)  # type: ignore[arg-type]
        whole.save(str(saved), format="json")
        assert json.loads(saved.read_text("utf-8")) == [whole.to_dict()]


def test_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no known format"):
        result().save(tmp_path / "a.doc")
    with pytest.raises(UsageError, match="who speaks when"):
        transcript(speakers=None).save(tmp_path / "a.rttm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["srt", "vtt", "txt", "rttm"])
def test_a_timeline_of_a_failed_input_is_refused(ending: str, tmp_path: Path) -> None:
    for whole in (failed(), failed_transcript(speakers=2)):
        for how in {}, {"format": ending}:
            with pytest.raises(UsageError, match=r"broken\.wav failed, so there is nothing to write .*: not audio"):
                whole.save(tmp_path / (f"a.{ending}" if not how else "a.bin"), **how)
    assert list(tmp_path.iterdir()) == []


def test_a_plot_is_a_figure_and_a_file(tmp_path: Path) -> None:
    figures = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    from overtone.output.plots import plot_timeline

    plot_timeline(result(), str(tmp_path / "expected.png"))
    figure = result().plot(tmp_path / "a.png")
    assert isinstance(figure, figures.Figure)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "expected.png").read_bytes()
    assert isinstance(result().plot(), figures.Figure)
    with pytest.raises(UsageError, match="nothing to plot"):
        failed().plot()


# Shown


@pytest.mark.parametrize(
    ("whole", "shown"),
    [
        (result(), "EmotionResult(source='call.mp3', duration=3, label='angry', score=0.6, segments=3)"),
        (result(channel=1, duration=49.85), "EmotionResult(source='call.mp3', channel=1, duration=49.85, "),
        (failed(), "EmotionResult(source='broken.wav', duration=0, error=InputError('broken.wav: not audio'))"),
        (
            transcript(),
            "Transcript(source='call.mp3', duration=6, text='Hello, who is it? 是我。', sentences=3, speakers=2)",
        ),
        (failed_transcript(), "Transcript(source='broken.wav', duration=0, error=InputError('broken.wav: not audio'))"),
    ],
)
def test_a_result_is_shown_in_a_line(whole: Result, shown: str) -> None:
    assert repr(whole).startswith(shown)
    assert str(whole) == repr(whole)


def test_what_is_long_is_shown_by_its_length(framed: EmotionResult) -> None:
    many = [segment(at, at + 1, (0.8, 0.1, 0.1)) for at in range(5000)]
    sentences = [sentence(at, at + 1, "word " * 50) for at in range(5000)]
    for whole in (framed, result(segments=many), transcript(sentences=sentences, text="word " * 50_000)):
        assert len(repr(whole)) < 200
    assert repr(framed.frames) == "FrameResult(frames=7, hop_s=0.02, labels=('angry', 'happy', 'neutral'))"


def test_segments_have_their_times_in_seconds() -> None:
    one = SegmentResult(Span(8000, 24_000), "angry", 0.8, None)
    assert (one.start, one.end) == (0.5, 1.5)
