"""The transcription pipeline, on small checkpoints of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from helpers.clips import CLIPS, EXAMPLES, buzz, decoded, voice
from helpers.converting import convert
from helpers.oracles import campplus, ct_transformer, fsmn_vad, paraformer, sense_voice
from overtone import Audio, EmotionRecognizer, Transcriber, Transcript
from overtone.cli.app import run
from overtone.errors import CheckpointError, InputError, UsageError
from overtone.options.transcription import TranscribeOptions

RATE = 16_000


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder for each kind of model."""
    root = tmp_path_factory.mktemp("speech-models")
    made = {
        "sensevoice": str(sense_voice.publish(root / "sensevoice")),
        "paraformer": str(paraformer.publish(root / "paraformer", kind="BiCifParaformer")),
        "seaco": str(paraformer.publish(root / "seaco", kind="SeacoParaformer")),
        "vad": str(fsmn_vad.publish(root / "vad")),
        "punctuation": str(ct_transformer.publish(root / "punctuation")),
        "speakers": str(campplus.publish(root / "speakers")),
    }
    convert(*made.values())
    return made


@pytest.fixture(scope="session")
def everything(models: dict[str, str]) -> Iterator[Transcriber]:
    """A transcriber with every stage there is."""
    with Transcriber(
        models["paraformer"],
        vad=models["vad"],
        punctuation=models["punctuation"],
        speakers=True,
        speaker_model=models["speakers"],
        emotion="tiny",
        decoders=2,
    ) as made:
        yield made


@pytest.fixture(scope="session")
def sensevoice(models: dict[str, str]) -> Iterator[Transcriber]:
    """SenseVoice, and nothing else."""
    with Transcriber(models["sensevoice"]) as made:
        yield made


def talk(seconds: float, seed: int = 0, sound: Callable[[float, int], np.ndarray] = voice) -> Audio:
    """Speech, or another sound, with a pause of most of a second every few."""
    samples = sound(seconds, seed)
    for pause in range(5 * RATE, len(samples) - RATE, 5 * RATE):
        samples[pause : pause + RATE] *= 0.001
    return Audio(samples, RATE, name=f"talk-{seed}")


def said(transcript: Transcript) -> list[tuple[object, ...]]:
    """What is compared of a transcript: all but what rounding may change, and that to three decimals."""
    return [
        (
            round(sentence.start, 3),
            round(sentence.end, 3),
            sentence.text,
            sentence.speaker,
            sentence.emotion and sentence.emotion.label,
            tuple((word.text, word.start, word.end, round(word.confidence or 0, 3)) for word in sentence.words),
        )
        for sentence in transcript.sentences
    ]


def test_a_sentence_has_times_words_speaker_mood_and_confidence(everything: Transcriber) -> None:
    transcript = everything(talk(60.0, sound=buzz))  # in which these random weights hear sentences
    assert transcript.ok
    assert transcript.duration == 60.0
    assert len(transcript.sentences) > 1
    assert transcript.speakers is not None
    assert set(transcript.models) == {"vad", "punctuation", "speakers", "emotion"}
    before = 0.0
    for sentence in transcript.sentences:
        assert before <= sentence.start <= sentence.end <= 60.0
        before = sentence.start
        assert sentence.text
        assert sentence.words
        assert all(
            word.start is not None and word.end is not None and sentence.start <= word.start <= word.end
            for word in sentence.words
        )
        assert sentence.speaker is not None
        assert 0 <= sentence.speaker < transcript.speakers
        assert sentence.emotion is not None
        assert sentence.emotion.scores is not None
        assert sum(sentence.emotion.scores.values()) == pytest.approx(1)
        assert sentence.confidence is not None
        assert 0 < sentence.confidence <= 1
    assert "".join(transcript.text.split()) == "".join("".join(s.text.split()) for s in transcript.sentences)


@pytest.mark.parametrize("which", ["sensevoice", "everything"])
def test_what_else_is_in_a_batch_changes_nothing(which: str, request: pytest.FixtureRequest) -> None:
    transcriber: Transcriber = request.getfixturevalue(which)
    sources = [talk(seconds, seed) for seed, seconds in enumerate((3.0, 0.7, 21.0, 8.0, 1.3, 14.0))]
    alone = [said(transcriber(source)) for source in sources]
    for order in (sources, sources[::-1]):
        together = {transcript.source: said(transcript) for transcript in transcriber.stream(order)}
        assert [together[source.name] for source in sources] == alone


def test_a_second_call_says_what_the_first_said(everything: Transcriber) -> None:
    before = everything.options
    first, second = (said(everything(talk(12.0, seed=7))) for _ in range(2))
    assert first == second
    assert everything.options is before


def test_long_audio_is_cut_where_speech_pauses_and_no_word_is_lost(models: dict[str, str]) -> None:
    with Transcriber(models["sensevoice"], vad=models["vad"], max_segment=6.0) as transcriber:
        transcript = transcriber(talk(60.0))
    assert max(sentence.end - sentence.start for sentence in transcript.sentences) <= 6.1
    assert transcript.sentences[-1].end > 50


def test_no_sentence_lasts_through_a_long_silence(everything: Transcriber) -> None:
    samples = np.concatenate([voice(6.0, 1), np.zeros(4 * RATE, np.float32), voice(6.0, 2)])
    said_once = everything(Audio(samples, RATE, name="both"), sentence_pause_s=60)
    sentences = everything(Audio(samples, RATE, name="both")).sentences
    assert [word.text for one in sentences for word in one.words] == [
        word.text for one in said_once.sentences for word in one.words
    ]
    for transcript in (sentences, everything(Audio(samples, RATE, name="both"), sentence_pause_s=0.3).sentences):
        limit = 0.8 if transcript is sentences else 0.3
        for sentence in transcript:
            times = [(word.start or 0, word.end or 0) for word in sentence.words]
            assert all(start - end < limit for (_, end), (start, _) in pairwise(times))
    assert len(sentences) > 1


@pytest.mark.parametrize("which", ["sensevoice", "everything"])
def test_silence_has_no_words(which: str, request: pytest.FixtureRequest) -> None:
    transcriber: Transcriber = request.getfixturevalue(which)
    transcript = transcriber(Audio(np.zeros(3 * RATE, np.float32), RATE))
    assert transcript.ok
    assert transcript.text == ""
    assert list(transcript.sentences) == []


def test_a_mood_is_that_of_the_emotion_model_over_the_sentences_audio(models: dict[str, str]) -> None:
    source = talk(4.0, seed=3)
    with Transcriber(models["sensevoice"], emotion="tiny", itn=False, vad="none") as transcriber:
        [sentence] = transcriber(source).sentences
    with EmotionRecognizer("tiny", granularity="frame") as recognizer:
        frames = recognizer(source).frames
        assert frames is not None
        head = recognizer.runtime.model.task.head
        assert head is not None
        at = frames.starts.numpy() // 16
        inside = (at >= round(sentence.start * 1000)) & (at < round(sentence.end * 1000))
        expected = head.scores(frames.embeddings.numpy()[inside].mean(axis=0))
    assert sentence.emotion is not None
    assert sentence.emotion.scores is not None
    # What is left is rounding of float32.
    np.testing.assert_allclose(list(sentence.emotion.scores.values()), expected, atol=1e-5)


def test_sensevoices_own_words_for_mood_and_language_are_told(sensevoice: Transcriber) -> None:
    transcript = sensevoice(talk(5.0))
    assert transcript.language in {"zh", "en", "yue", "ja", "ko", None}
    for sentence in transcript.sentences:
        assert sentence.emotion is None or sentence.emotion.score is None


def quiet_then_words() -> Audio:
    """3 s of faint noise, 2 s of speech, 3 s of noise, the speech again, and noise."""
    said = decoded(EXAMPLES / "angry.wav")[: 2 * RATE]
    noise = 3e-4 * np.random.default_rng(1).standard_normal(3 * RATE)
    return Audio(np.concatenate([noise, said, noise, said, noise]).astype(np.float32), RATE, name="timed")


def test_words_begin_where_somebody_speaks_however_short_the_file(sensevoice: Transcriber) -> None:
    spoken = [(s.start, s.end) for s in sensevoice(quiet_then_words()).sentences]
    assert len(spoken) >= 2
    for began, ended in spoken:
        assert 2.8 <= began < ended <= 5.2 or 7.8 <= began < ended <= 10.2
    whole = sensevoice(quiet_then_words(), vad="none")
    assert whole.sentences[0].start < 2.8
    assert "vad" not in whole.models


def test_what_does_not_speak_has_no_words(sensevoice: Transcriber) -> None:
    noise = 0.1 * np.random.default_rng(2).standard_normal(10 * RATE)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(10 * RATE) / RATE)
    for sound in (noise, tone, np.full(10 * RATE, 0.5)):
        transcript = sensevoice(Audio(sound.astype(np.float32), RATE))
        assert transcript.ok
        assert (transcript.text, len(transcript.sentences)) == ("", 0)


def test_an_emotion_model_serves_as_a_recognizer_too(everything: Transcriber) -> None:
    from overtone.options.emotion import Options

    source = talk(6.0)
    with everything.emotion(Options(model="tiny")) as recognizer:
        found = recognizer(source)
    with EmotionRecognizer("tiny") as alone:
        expected = alone(source)
    assert found.label == expected.label
    assert found.score == pytest.approx(expected.score, abs=1e-5)
    assert everything(source).ok  # it was not closed with the recognizer


def test_without_an_emotion_model_there_is_no_recognizer_of_it(sensevoice: Transcriber) -> None:
    from overtone.options.emotion import Options

    with pytest.raises(UsageError, match="has no emotion model"):
        sensevoice.emotion(Options(model="tiny"))


def test_a_bad_source_stops_no_other(everything: Transcriber, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF no audio")
    results = list(everything.stream([talk(2.0), str(bad), str(tmp_path / "none.wav"), talk(2.0, seed=1)]))
    assert [result.ok for result in results] == [True, False, False, True]
    assert isinstance(results[1].error, InputError)
    assert "none.wav" in str(results[2].error)
    assert results[1].text == ""


def test_channels_are_told_apart_where_that_is_asked(sensevoice: Transcriber) -> None:
    both = np.stack([voice(3.0, seed=1), voice(3.0, seed=2)])
    left, right = sensevoice.results_for(Audio(both, RATE), channels="split")
    assert (left.channel, right.channel) == (0, 1)
    assert said(left) == said(sensevoice(Audio(both[0], RATE)))
    with pytest.raises(UsageError, match="results_for"):
        sensevoice(Audio(both, RATE), channels="split")


def test_each_stage_takes_models_for_it_alone(models: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match=r"a model for punctuation .*; speech recognition takes SenseVoice"):
        Transcriber(models["punctuation"])
    with pytest.raises(CheckpointError, match="voice activity detection takes FsmnVADStreaming"):
        Transcriber(models["sensevoice"], vad=models["speakers"])
    with pytest.raises(CheckpointError, match="telling speakers apart takes CAMPPlus"):
        Transcriber(models["sensevoice"], speakers=True, speaker_model=models["vad"])
    with pytest.raises(CheckpointError, match="emotion takes Emotion2vec"):
        EmotionRecognizer(models["sensevoice"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"granularity": "frame"}, "there is no option 'granularity'"),
        ({"num_speakers": 2}, "speakers=True"),
        ({"sentence_pause_s": 0.05}, "0.1 to 3600"),
        ({"hotwords": "ABBA"}, "SeACo"),
        ({"merge_length_s": 10.0}, "vad='fsmn-vad'"),
        ({"max_end_silence_ms": 500}, "vad='fsmn-vad'"),
        ({"segment": "window"}, "would cut words"),
        ({"segment": "none", "vad": "fsmn-vad"}, "nothing to find"),
        ({"speaker_model": "cam++-other"}, "left out"),
        ({"emotion_device": "cuda:1"}, "left out"),
        ({"language": "de"}, "it can be auto, zh"),
    ],
)
def test_wishes_that_cannot_be_are_refused(models: dict[str, str], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Transcriber(models["sensevoice"], **options)


def test_options_of_emotion_alone_are_refused() -> None:
    with pytest.raises(UsageError, match="keep_silence is for emotion"):
        TranscribeOptions(keep_silence=True)


def test_hot_words_are_heard_by_a_paraformer_with_seaco(models: dict[str, str]) -> None:
    with Transcriber(models["seaco"], punctuation="none") as transcriber:
        plain = transcriber(talk(4.0))
        again = transcriber(talk(4.0), hotwords="魔搭 阿里")
        with pytest.raises(UsageError, match="longer than 32"):
            next(transcriber.stream([talk(1.0)], hotwords="魔" * 33))
        assert again.ok
        assert said(transcriber(talk(4.0))) == said(plain)  # and only in the call that asks for them


def test_the_environment_names_the_recognizer(models: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERTONE_MODEL", "plus-large")  # which is for emotion
    monkeypatch.setenv("OVERTONE_RECOGNIZER", models["sensevoice"])
    monkeypatch.setenv("OVERTONE_LANGUAGE", "en")
    with Transcriber() as transcriber:
        assert transcriber.runtime.model.name == Path(models["sensevoice"]).name
        assert transcriber.options.language == "en"


def test_the_command_writes_subtitles_and_goes_on_where_it_was(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OVERTONE_THREADS", "1")
    names = ("wenet/aishell-BAC009S0724W0121.wav", "librivox/sense_and_sensibility_01_austen_64kb-0870.wav")
    clips = [str(CLIPS / "speech" / name) for name in names]
    own = ["--model", models["sensevoice"], "--vad", models["vad"]]
    subtitles, lines = tmp_path / "one.srt", tmp_path / "out.jsonl"
    code = run(["transcribe", clips[1], *own, "--emotion", "tiny", "-o", str(subtitles)])
    assert code == 0, capsys.readouterr().err
    assert " --> " in subtitles.read_text(encoding="utf-8")
    for inputs in (clips[:1], clips):
        code = run(["transcribe", *inputs, *own, "-o", str(lines), "--resume"])
        assert code == 0, capsys.readouterr().err
    records = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [record["source"] for record in records] == clips
    assert all(record["sentences"][0]["words"] for record in records)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-o", "x.rttm"], "--speakers"),
        (["-o", "x.docx"], "known format"),
        (["-o", "x.srt", "--channels", "split"], "{name}"),
        (["--format", "words"], "unknown format"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_a_model_is_looked_for(
    capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert run(["transcribe", "--model", "no/such-model", "call.wav", *more]) == 2
    assert said in capsys.readouterr().err
