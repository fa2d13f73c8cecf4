from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overtone.segmentation.voiced_frames import (
    FRAME,
    MIN_VOICED,
    OFF,
    ON,
    PAUSE_FRAMES,
    VoicedFrames,
    least_speech,
)

PROBABILITIES = st.lists(
    st.tuples(st.sampled_from([0.01, 0.3, 0.4, 0.6, 0.98]), st.integers(1, 25)), min_size=1, max_size=12
).map(lambda runs: [probability for probability, count in runs for _ in range(count)])


def speech_of(probabilities: list[float]) -> list[bool]:
    """Of each frame whether it is speech, one by one: voiced, and one of enough with no pause between them."""
    voiced, speaking = [], False
    for probability in probabilities:
        speaking = probability >= OFF if speaking else probability >= ON
        voiced.append(speaking)
    bursts: list[list[int]] = []
    for frame in (frame for frame, is_voiced in enumerate(voiced) if is_voiced):
        if bursts and frame - bursts[-1][-1] <= PAUSE_FRAMES:
            bursts[-1].append(frame)
        else:
            bursts.append([frame])
    speech = {frame for burst in bursts if len(burst) >= MIN_VOICED for frame in burst}
    return [frame in speech for frame in range(len(probabilities))]


def of(probabilities: list[float]) -> VoicedFrames:
    voiced = VoicedFrames()
    voiced.push(probabilities)
    return voiced


@given(PROBABILITIES, st.data())
def test_a_span_has_the_speech_of_its_frames_up_to_its_end(probabilities: list[float], data: st.DataObject) -> None:
    samples = len(probabilities) * FRAME
    stop = data.draw(st.integers(0, samples))
    start = data.draw(st.integers(0, stop))
    speech = speech_of(probabilities[: stop // FRAME])  # as if it ended there
    expected = sum(
        max(0, min(stop, (frame + 1) * FRAME) - max(start, frame * FRAME))
        for frame, is_speech in enumerate(speech)
        if is_speech
    )
    found = of(probabilities).count(start, stop)
    assert found == expected
    assert 0 <= found <= stop - start


@given(PROBABILITIES, st.data())
def test_what_comes_later_and_what_is_forgotten_change_no_answer(
    probabilities: list[float], data: st.DataObject
) -> None:
    stop = data.draw(st.integers(0, len(probabilities) * FRAME))
    start = data.draw(st.integers(0, stop))
    early, late = of(probabilities[: stop // FRAME]), of(probabilities)
    assert early.knows(stop)
    expected = late.count(start, stop)
    assert early.count(start, stop) == expected
    late.drop(data.draw(st.integers(0, start)))
    assert late.count(start, stop) == expected


@given(PROBABILITIES, st.integers(1, FRAME))
def test_the_last_frame_of_a_stream_counts_as_far_as_it_goes(probabilities: list[float], last: int) -> None:
    samples = (len(probabilities) - 1) * FRAME + last
    voiced = of(probabilities)
    voiced.finish(samples)
    speech = speech_of(probabilities)
    assert voiced.count(0, samples) == sum(speech[:-1]) * FRAME + speech[-1] * last


def test_a_click_is_no_speech_and_a_shout_is() -> None:
    silence = [0.0] * 40
    assert of(silence + [0.9] * (MIN_VOICED - 1) + silence).count(0, 90 * FRAME) == 0
    assert of(silence + [0.9] * MIN_VOICED + silence).count(0, 90 * FRAME) == MIN_VOICED * FRAME


@given(st.integers(1, 10**6))
def test_a_span_needs_a_burst_or_half_of_itself(samples: int) -> None:
    assert 1 <= least_speech(samples) <= max(1, samples // 2)
    assert least_speech(samples) <= MIN_VOICED * FRAME
