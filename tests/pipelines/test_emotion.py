"""The pipeline: sources to results, through the one spine."""

from __future__ import annotations

import gc
import io
import os
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.clips import CLIPS, EXAMPLES, decoded, voice
from overtone import Audio, EmotionRecognizer, expand
from overtone.audio import Decoder
from overtone.batching.slots import Claim
from overtone.errors import BudgetError, InputError, OutOfMemory, UsageError
from overtone.models.emotion2vec import random_checkpoint
from overtone.pipelines.request import RequestContext
from overtone.results import EmotionResult
from overtone.system.machine import rss_bytes
from overtone.types import Batch, EmotionOutput, Granularity

CALL = str(EXAMPLES / "call.mp3")


@pytest.fixture(scope="module")
def full(small_checkpoint: Path) -> Iterator[EmotionRecognizer]:
    """A recognizer that runs whole files, shared."""
    with EmotionRecognizer(str(small_checkpoint), context="full") as shared:
        yield shared


@pytest.fixture(scope="module")
def capped(small_checkpoint: Path) -> Iterator[EmotionRecognizer]:
    """A recognizer whose batches hold a second, or one segment, shared."""
    with EmotionRecognizer(str(small_checkpoint), batch_size_s=1) as shared:
        yield shared


@pytest.fixture(scope="module")
def large(small_checkpoint: Path) -> Iterator[EmotionRecognizer]:
    """A recognizer whose batches hold ten of its longest segments, shared."""
    with EmotionRecognizer(str(small_checkpoint), batch_size_s=160, max_segment=16) as shared:
        yield shared


def same(a: EmotionResult, b: EmotionResult, tolerance: float = 1e-5) -> None:
    assert a.label == b.label
    assert [s.span for s in a.segments] == [s.span for s in b.segments]
    if a.scores is None or b.scores is None:
        assert a.scores is b.scores
    else:
        assert list(a.scores.values()) == pytest.approx(list(b.scores.values()), abs=tolerance)
        assert a.shares == pytest.approx(b.shares, abs=tolerance)
    assert a.speech_s == b.speech_s
    np.testing.assert_allclose(a.embedding, b.embedding, rtol=0, atol=tolerance)


def test_a_file_has_a_label_scores_and_a_timeline(recognizer: EmotionRecognizer) -> None:
    result = recognizer(CALL)
    assert result.source == CALL
    assert result.duration == pytest.approx(49.85, abs=0.1)
    assert result.scores is not None
    assert sum(result.scores.values()) == pytest.approx(1)
    assert result.score == max(result.scores.values()) == result.scores[str(result.label)]
    assert tuple(result.scores) == recognizer.labels
    assert {s.label for s in result.segments} >= {"silence"}
    assert result.segments[-1].span.stop_s == pytest.approx(result.duration)
    assert (result.precision, result.device) == ("fp32", "cpu")
    assert result.timings.run_s > 0


def test_the_pooled_score_is_the_head_over_the_mean_of_all_frames(recognizer: EmotionRecognizer) -> None:
    result = recognizer(CALL, granularity="frame")
    head = recognizer.runtime.model.task.head
    assert result.frames is not None
    assert result.frames.scores is not None
    assert head is not None
    frames = result.frames.embeddings.numpy()
    mean = frames.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(result.embedding, mean, atol=1e-5)
    assert result.pooled is not None
    assert list(result.pooled.scores.values()) == pytest.approx(head.scores(mean).tolist(), abs=1e-5)
    np.testing.assert_allclose(result.frames.scores.numpy(), head.scores(frames), atol=1e-5)
    assert len(frames) == len(result.frames.starts) == len(result.frames.scores)
    speech = sum(len(s.span) for s in result.segments if s.label != "silence") / 320
    assert speech - 2 * len(result.segments) <= len(frames) <= speech


def test_batching_order_and_company_change_nothing(recognizer: EmotionRecognizer) -> None:
    clips = [Audio(voice(length, seed=i), 16_000, f"v{i}") for i, length in enumerate((0.5, 3.2, 31, 7, 7, 0.8, 2))]
    alone = [recognizer(clip) for clip in clips]
    for together in (list(recognizer.stream(clips)), list(recognizer.stream(clips[::-1]))[::-1]):
        for a, b in zip(together, alone, strict=True):
            assert a.source == b.source
            same(a, b)


def test_many_threads_share_one_model(recognizer: EmotionRecognizer) -> None:
    clips = [Audio(voice(2 + i % 3, seed=i), 16_000, f"v{i}") for i in range(16)]
    alone = [recognizer(clip) for clip in clips]
    results: dict[int, EmotionResult] = {}
    threads = [threading.Thread(target=lambda i=i: results.update({i: recognizer(clips[i])})) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for i, result in results.items():
        same(result, alone[i])
    assert len(results) == 16


def test_a_source_may_come_in_any_form(recognizer: EmotionRecognizer) -> None:
    path = EXAMPLES / "angry.wav"
    data = path.read_bytes()
    with Decoder(data) as decoder:
        samples = np.concatenate(list(decoder.blocks()))
    expected = recognizer(str(path))
    for source in (path, data, io.BytesIO(data), Audio(samples, 16_000), Audio(samples[None], 16_000)):
        same(recognizer(source), expected)


def test_each_bad_source_is_one_error_and_the_rest_is_done(recognizer: EmotionRecognizer, tmp_path: Path) -> None:
    empty, garbage = tmp_path / "empty.wav", tmp_path / "garbage.wav"
    empty.write_bytes(b"")
    garbage.write_bytes(b"not audio at all" * 100)
    sources = [
        str(empty),
        EXAMPLES / "angry.wav",
        str(garbage),
        tmp_path / "missing.wav",
        tmp_path,
        Audio(np.full(16_000, np.nan, np.float32), 16_000),
        Audio(np.zeros(16_000, np.int64), 16_000),
        Audio(voice(1.0), 0),
        Audio(voice(0.02), 16_000, "blip"),
        EXAMPLES / "sad.wav",
    ]
    results = list(recognizer.stream(sources))
    assert len(results) == len(sources)
    assert [r.ok for r in results] == [False, True, False, False, False, False, False, False, False, True]
    for result in results:
        assert result.ok or (isinstance(result.error, InputError) and str(result.error))
    assert results[8].error is not None
    assert results[8].error.code == "too_short"
    assert "blip" in str(results[8].error)


def test_a_call_raises_what_a_stream_reports(recognizer: EmotionRecognizer) -> None:
    with pytest.raises(InputError, match=r"missing\.wav"):
        recognizer("missing.wav")


def test_silence_is_reported_and_not_guessed_at(recognizer: EmotionRecognizer) -> None:
    for seconds in (2, 40):
        result = recognizer(Audio(np.zeros(16_000 * seconds, np.float32), 16_000))
        assert (result.label, result.score, result.scores) == ("silence", None, None)
        assert (result.shares, result.speech_s, result.pooled) == (None, 0.0, None)
        assert [s.label for s in result.segments] == ["silence"]


def sounds() -> dict[str, np.ndarray]:
    """What sounds and does not speak, of 4 s."""
    time = np.arange(64_000) / 16_000
    return {
        "noise": 0.1 * np.random.default_rng(5).standard_normal(64_000),
        "beeps": 0.3 * np.sin(2 * np.pi * 1000 * time) * ((2 * time) % 1 < 0.3),
        "offset": np.full(64_000, 0.5),
    }


@pytest.mark.parametrize("options", [{}, {"segment": "window"}], ids=["pauses", "windows"])
@pytest.mark.parametrize("seconds", [4, 40])
def test_what_does_not_speak_has_no_emotion(
    recognizer: EmotionRecognizer, options: dict[str, str], seconds: int
) -> None:
    for name, sound in sounds().items():
        result = recognizer(Audio(np.tile(sound, seconds // 4).astype(np.float32), 16_000), **options)
        assert (result.label, result.scores) == ("silence", None), name
        assert {segment.label for segment in result.segments} == {"silence"}, name


def test_without_a_detector_only_the_level_says_what_is_silence(recognizer: EmotionRecognizer) -> None:
    labels = {
        name: recognizer(Audio(sound.astype(np.float32), 16_000), vad="none").label for name, sound in sounds().items()
    }
    assert labels["offset"] == "silence"
    assert "silence" not in (labels["noise"], labels["beeps"])
    noise = Audio(sounds()["noise"].astype(np.float32), 16_000)
    assert recognizer(noise, keep_silence=True).label == labels["noise"]


def test_a_file_run_whole_that_does_not_speak_is_silence(full: EmotionRecognizer) -> None:
    for name, sound in sounds().items():
        assert full(Audio(np.tile(sound, 3).astype(np.float32), 16_000)).label == "silence", name
    assert full(EXAMPLES / "angry.wav").label != "silence"


def test_every_acted_clip_speaks_and_a_short_file_is_one_segment_of_all_its_samples(
    recognizer: EmotionRecognizer,
) -> None:
    clips = sorted(CLIPS.glob("emodb/wav/*.wav"))
    assert clips
    for clip, result in zip(clips, recognizer.stream(clips), strict=True):
        (segment,) = result.segments
        assert segment.label != "silence"
        assert len(segment.span) == len(decoded(clip))
        unasked = recognizer(clip, vad="none")
        assert (unasked.label, unasked.scores) == (result.label, pytest.approx(result.scores, abs=1e-6))
        assert 0 < result.speech_s <= unasked.speech_s == pytest.approx(result.duration)


def test_a_channel_knows_how_long_it_speaks(recognizer: EmotionRecognizer) -> None:
    said = decoded(EXAMPLES / "angry.wav")
    samples = np.concatenate([np.zeros(32_000, np.float32), said, np.zeros(32_000, np.float32)])
    for options in ({}, {"segment": "window", "window": 2.0, "hop": 0.5}):
        call = recognizer._call_options(options, envelope=False)
        sent = recognizer.submit_source(Audio(samples, 16_000), call, RequestContext())
        (channel,) = sent.channels
        channel.aggregate()
        assert 0.5 * len(said) < channel.speech_s * 16_000 < len(said) + 2048
    sent = recognizer.submit_source(Audio(samples[:32_000], 16_000), call, RequestContext())
    assert sent.channels[0].speech_s == 0


def test_split_channels_are_results_of_their_own(recognizer: EmotionRecognizer) -> None:
    left, right = recognizer.stream([CALL], channels="split")
    assert (left.channel, right.channel, left.channels) == (0, 1, 2)
    spoken = [{s.span.start // 16_000 for s in r.segments if s.label != "silence"} for r in (left, right)]
    assert not spoken[0] & spoken[1]  # one talker on each side
    with pytest.raises(UsageError, match="results_for"):
        recognizer(CALL, channels="split")


def test_windows_give_a_grid(recognizer: EmotionRecognizer) -> None:
    result = recognizer(CALL, segment="window", window=4, hop=2)
    assert [s.span.start_s for s in result.segments[:4]] == [0, 2, 4, 6]
    assert {len(s.span) for s in result.segments[:-1]} == {64_000}


def test_full_context_runs_whole_and_differs_only_by_its_context(
    full: EmotionRecognizer, recognizer: EmotionRecognizer
) -> None:
    (segment,) = full(CALL).segments
    assert segment.span.stop_s == pytest.approx(49.85, abs=0.1)
    short = EXAMPLES / "angry.wav"  # not cut either way
    same(full(short), recognizer(short))


def test_a_file_too_long_to_run_whole_is_refused_alone(small_checkpoint: Path) -> None:
    with EmotionRecognizer(
        str(small_checkpoint), context="full", decode="threads", memory=rss_bytes() + (600 << 20)
    ) as full:
        long = Audio(np.zeros(16_000 * 3600, np.float32), 16_000, "an hour")
        results = list(full.stream([long, EXAMPLES / "angry.wav"]))
    assert isinstance(results[0].error, BudgetError)
    assert "context='segment'" in str(results[0].error)
    assert results[1].ok


@pytest.mark.usefixtures("converted_here")
def test_a_model_without_classes_gives_embeddings_and_says_so(tmp_path: Path) -> None:
    with EmotionRecognizer(str(random_checkpoint.write(tmp_path / "c", labels=None))) as plain:
        assert plain.labels == ()
        result = plain(EXAMPLES / "angry.wav")
    assert (result.label, result.scores, result.shares, result.pooled) == (None, None, None, None)
    assert result.embedding is not None
    assert result.embedding.shape == (48,)


def test_caps_of_funasr_hold_in_padded_seconds(small_checkpoint: Path) -> None:
    with EmotionRecognizer(str(small_checkpoint), batch_size_s=8, batch_size_threshold_s=3) as capped:
        batches = []
        backend = capped.runtime.engine.workers[0].backend
        run = backend.run
        backend.run = lambda batch: (batches.append(batch), run(batch))[1]  # type: ignore[method-assign]
        capped(CALL)
        list(capped.stream([EXAMPLES / "angry.wav"] * 12))
    assert max(len(batch.waveforms) for batch in batches) > 1
    for batch in batches:
        seconds = batch.padded / 16_000
        assert len(batch.waveforms) == 1 or len(batch.waveforms) * seconds <= 8.0
        assert len(batch.waveforms) == 1 or seconds <= 3.0


@pytest.mark.parametrize("options", [{}, {"segment": "window"}], ids=["cut", "windows"])
def test_a_cap_on_batches_changes_no_answer(
    recognizer: EmotionRecognizer, capped: EmotionRecognizer, options: dict[str, Any]
) -> None:
    same_whatever_the_cap(capped, recognizer, **options)


def test_a_cap_on_batches_changes_no_answer_of_whole_files(small_checkpoint: Path, full: EmotionRecognizer) -> None:
    with EmotionRecognizer(str(small_checkpoint), batch_size_s=1, context="full") as capped:
        same_whatever_the_cap(capped, full)


def same_whatever_the_cap(capped: EmotionRecognizer, free: EmotionRecognizer, **options: Any) -> None:
    sources = [Audio(decoded(EXAMPLES / "call.mp3")[: 24 * 16_000], 16_000), EXAMPLES / "angry.wav"]
    expected = list(free.stream(sources, **options))
    for one, other in zip(capped.stream(sources, **options), expected, strict=True):
        same(one, other)
        assert one.segments[0].span == other.segments[0].span


def test_a_budget_that_cannot_hold_is_refused_at_start(small_checkpoint: Path) -> None:
    with pytest.raises(BudgetError, match=r"would do|at least") as caught:
        EmotionRecognizer(str(small_checkpoint), memory="64MiB")
    assert caught.value.exit_code == 3


def test_an_unknown_option_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean 'memory'"):
        EmotionRecognizer("tiny", memmory="2GiB")


def test_no_call_changes_a_global(recognizer: EmotionRecognizer) -> None:
    import random

    def state() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            torch.get_num_interop_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.initial_seed(),
            dict(os.environ),
            random.getstate(),
            str(np.random.get_state()),
            recognizer.options,
        )

    before = state()
    recognizer(EXAMPLES / "angry.wav", granularity="frame")
    list(recognizer.stream(expand([str(EXAMPLES)])))
    assert state() == before


def test_frames_of_a_stream_are_each_their_own(recognizer: EmotionRecognizer) -> None:
    sources = [EXAMPLES / "angry.wav", EXAMPLES / "sad.wav"]
    for source, result in zip(sources, recognizer.stream(sources, granularity="frame"), strict=True):
        alone = recognizer(source, granularity="frame")
        assert result.frames is not None
        assert alone.frames is not None
        np.testing.assert_allclose(result.frames.embeddings.numpy(), alone.frames.embeddings.numpy(), atol=1e-5)


def test_a_stream_left_early_stops_its_work(small_checkpoint: Path) -> None:
    with EmotionRecognizer(str(small_checkpoint), batch_size_s=3.2, max_segment=3.2, decoders=1) as own:
        engine, run = own.runtime.engine, own.runtime.engine.workers[0].backend.run
        go_on = threading.Semaphore(1)
        engine.workers[0].backend.run = lambda batch: (go_on.acquire(), run(batch))[1]  # type: ignore[method-assign]
        stream = own.stream([Audio(voice(3, seed=i), 16_000) for i in range(60)])
        next(stream)
        stream.close()
        for _ in range(100):
            go_on.release()
        assert own(EXAMPLES / "angry.wav").ok
        # What ran before the stream was left, what was on its way into the model then, and the last call.
        assert engine.stats.segments <= 4


@pytest.mark.parametrize(
    ("in_memory", "granularity", "most"), [(False, "segment", 192), (True, "segment", 64), (False, "frame", 64)]
)
def test_large_batches_of_short_clips_are_filled_from_further_ahead(
    large: EmotionRecognizer, in_memory: bool, granularity: Granularity, most: int
) -> None:
    taken = 0

    def sources() -> Iterator[str | Audio]:
        nonlocal taken
        for _ in range(300):
            taken += 1
            yield Audio(voice(0.1), 16_000) if in_memory else "nowhere.wav"

    plan = large.runtime.engine.plan
    assert plan.audio_bytes - plan.segmenter_bytes == pytest.approx((2 * 16 + 2 * 160) * 64_000, rel=0.01)
    stream = large.stream(sources(), granularity=granularity)
    next(stream)
    stream.close()
    assert taken == pytest.approx(most, abs=16)


def test_a_path_keeps_its_folder(recognizer: EmotionRecognizer) -> None:
    path = EXAMPLES / "sad.wav"
    assert [r.source for r in recognizer.stream([path, str(path)])] == [str(path)] * 2
    assert recognizer(path.read_bytes()).source == "bytes"
    assert recognizer(io.BytesIO(path.read_bytes())).source == "BytesIO"


def test_a_tail_too_short_for_a_frame_does_not_cost_the_file(small_checkpoint: Path) -> None:
    # Voice that ends a few VAD frames before the end leaves a last segment of less than one model frame.
    sound = np.concatenate([voice(4.0), np.zeros(4 * 512 + 100, np.float32)])
    with EmotionRecognizer(str(small_checkpoint), max_segment=2, keep_silence=True) as keeping:
        for extra in range(0, 512, 64):
            cut = Audio(sound[: len(sound) - extra], 16_000)
            assert keeping(cut).ok, extra


@pytest.mark.usefixtures("recognizer")  # whose model is converted, for which the budget has no room
def test_an_error_keeps_nothing_of_what_was_decoded(small_checkpoint: Path) -> None:
    memory = f"{(rss_bytes() >> 20) + 300}MiB"
    with EmotionRecognizer(str(small_checkpoint), context="full", decode="threads", memory=memory) as tight:
        (result,) = tight.stream([Audio(np.tile(voice(60.0), 20), 16_000, name="long")])
    assert isinstance(result.error, BudgetError)
    assert str(result.error).startswith("long: run whole, its 1245 s need ")  # all of it, though less was read
    assert not any("tracks" in frame.f_locals for frame, _ in traceback.walk_tb(result.error.__traceback__))


@pytest.mark.usefixtures("recognizer")  # whose model is converted, for which the budget has no room
def test_more_channels_than_the_budget_holds_are_refused_by_name(small_checkpoint: Path) -> None:
    many = Audio(np.tile(voice(1.0), (64, 1)), 16_000, name="choir")
    memory = f"{(rss_bytes() >> 20) + 400}MiB"
    with EmotionRecognizer(str(small_checkpoint), channels="split", decode="threads", memory=memory) as tight:
        (result,) = tight.stream([many])
        assert isinstance(result.error, BudgetError)
        assert "choir: its 64 channels" in str(result.error)
        assert "channels='mix'" in str(result.error)


def test_threads_of_the_caller_cut_no_more_at_once_than_was_planned(small_checkpoint: Path) -> None:
    with EmotionRecognizer(str(small_checkpoint), decoders=2) as own:
        gate = own._ingestor._segmenting
        seen: list[int] = []
        take = gate.acquire

        def counted(*wanted: Any, **options: Any) -> Claim:
            claim = take(*wanted, **options)
            seen.append(gate.in_use)
            return claim

        gate.acquire = counted  # type: ignore[method-assign]
        with ThreadPoolExecutor(12) as pool:
            results = list(pool.map(own, [Audio(voice(2, seed=i), 16_000) for i in range(24)]))
    assert all(result.ok for result in results)
    assert max(seen) <= 2
    assert gate.in_use == 0


def test_a_halved_batch_is_noted_in_the_results_it_was_for(small_checkpoint: Path) -> None:
    sources = [Audio(voice(2, seed=i), 16_000) for i in range(8)]
    with EmotionRecognizer(str(small_checkpoint)) as own:
        expected = [result.scores for result in own.stream(sources)]
        run = own.runtime.engine.workers[0].backend.run

        def small_only(batch: Batch) -> list[EmotionOutput]:
            if len(batch.waveforms) > 1:
                raise OutOfMemory("no room")
            return run(batch)

        own.runtime.engine.workers[0].backend.run = small_only  # type: ignore[method-assign]
        results = list(own.stream(sources))
    assert any("batch halved" in note for result in results for note in result.timings.notes)
    for result, scores in zip(results, expected, strict=True):
        assert result.scores == pytest.approx(scores, abs=1e-5)


def test_a_recognizer_that_is_forgotten_ends_its_thread(small_checkpoint: Path) -> None:
    own = EmotionRecognizer(str(small_checkpoint))
    thread = own.runtime.engine.workers[0]._thread
    assert own(EXAMPLES / "angry.wav").ok  # its worker has a batch behind it, whose futures knew the recognizer
    assert next(own.stream([str(EXAMPLES / "angry.wav")])).ok
    del own
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_a_closed_recognizer_says_so(small_checkpoint: Path) -> None:
    own = EmotionRecognizer(str(small_checkpoint))
    own.close()
    with pytest.raises(UsageError, match="closed"):
        own(EXAMPLES / "angry.wav")
