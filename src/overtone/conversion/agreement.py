"""Agreement of a model in another precision with the same model in float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from overtone.backends.openvino.graphs import OpenvinoGraphs
from overtone.batching.policy import bucket
from overtone.models.checkpoints import Checkpoint
from overtone.models.classifier import Head
from overtone.models.converted import Agreement, Converted
from overtone.models.registry import task_of
from overtone.models.task import Task
from overtone.system.machine import usable_cpus
from overtone.types import Batch, EmotionOutput, ModelOutput, Samples, SpeakerEmbeddings, TokenOutput


def measure(
    checkpoint: Checkpoint, models: tuple[Converted, Converted], windows: Sequence[Samples], audio: str
) -> Agreement:
    """Run both models, float32 first, on the same windows and compare. audio: what the windows are of, for the
    record."""
    task = task_of(checkpoint)
    expected, found = (_answers(task, model, windows) for model in models)
    if any(isinstance(output, EmotionOutput) for output in expected):
        task.read_weights(models[0].folder)
        return compare(_means(expected), _means(found), task.head, audio)
    edits = tokens = 0
    found_cosines: list[npt.NDArray[np.float64]] = []
    for wanted, got in zip(expected, found, strict=True):
        if isinstance(wanted, TokenOutput) and isinstance(got, TokenOutput):
            edits += distance(wanted.tokens.tolist(), got.tokens.tolist())
            tokens += len(wanted.tokens)
        elif isinstance(wanted, SpeakerEmbeddings) and isinstance(got, SpeakerEmbeddings):
            found_cosines.append(_cosines(wanted.embeddings, got.embeddings))
    if found_cosines:
        return Agreement(audio, len(expected), None, None, float(np.concatenate(found_cosines).mean(dtype=np.float64)))
    return Agreement(audio, len(expected), None, None, None, tokens=max(0.0, 1 - edits / max(1, tokens)))


def compare(
    expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64], head: Head | None, audio: str
) -> Agreement:
    """Agreement of two models' mean embeddings, each (windows, dim)."""
    cosine = float(_cosines(expected, found).mean())
    if head is None:
        return Agreement(audio, len(expected), None, None, cosine)
    ours, theirs = head.scores(found), head.scores(expected)
    same = float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
    return Agreement(audio, len(expected), same, float(np.abs(ours - theirs).mean()), cosine)


def _cosines(expected: npt.NDArray[np.floating], found: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Cosine of each pair of rows, (rows,)."""
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    cosines: npt.NDArray[np.float64] = (expected * found).sum(axis=1) / np.maximum(lengths, 1e-30)
    return cosines


def _means(outputs: Sequence[ModelOutput]) -> npt.NDArray[np.float64]:
    """Mean embedding of each window, (windows, dim)."""
    return np.stack([output.total / output.count for output in outputs if isinstance(output, EmotionOutput)])


def _answers(task: Task, model: Converted, windows: Sequence[Samples]) -> list[ModelOutput]:
    graphs = OpenvinoGraphs(
        model,
        task.graphs,
        precision=model.precision,
        threads=usable_cpus(),
        wrap=task.runner,
    )
    long_enough = (window for window in windows if len(window) >= task.min_samples)
    answers = [task.answer(graphs.run, Batch((window,), bucket(len(window))))[0] for window in long_enough]
    graphs.close()
    return answers


def distance(wanted: Sequence[int], got: Sequence[int]) -> int:
    """Fewest tokens to insert, drop or change that lead from one to the other (Levenshtein)."""
    row = np.arange(len(got) + 1)
    others = np.asarray(got)
    for index, token in enumerate(wanted, 1):
        changed = row[:-1] + (others != token)
        best = np.concatenate([[index], np.minimum(changed, row[1:] + 1)])
        # What is left is inserting: each place from the best one before it, one for every step.
        row = np.minimum.accumulate(best - np.arange(len(best))) + np.arange(len(best))
    return int(row[-1])
