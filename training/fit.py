"""Trains the encoder and the classifier on labelled utterances."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from training.bank import Bank
from training.data import LETTERS, SAMPLE_RATE, UNLABELLED, Utterance, Wave
from training.evaluate import Ints
from training.network import build, config
from training.pretrain import warm_cosine
from training.recipe import Recipe, Stage
from training.teacher import Teacher

from overtone.models.emotion2vec.conv_features import FeatureExtractor
from overtone.models.emotion2vec.dense_attention import encode_dense
from overtone.models.emotion2vec.network import Emotion2vec

_POOL_BATCHES = 8
"""Batches that are cut from one random pool."""


class Classifier(nn.Module):
    """An emotion2vec network, the mean over time, and a linear layer: what FunASR makes of a checkpoint."""

    def __init__(self, net: Emotion2vec) -> None:
        super().__init__()
        self.net = net
        self.proj = nn.Linear(net.architecture.embed_dim, len(LETTERS))
        self.dropout = 0.0
        nn.init.trunc_normal_(self.proj.weight, std=0.02)
        nn.init.zeros_(self.proj.bias)
        for block in [*net.audio.context_encoder.blocks, *net.blocks]:
            for part in (block.get_submodule("attn"), block.get_submodule("mlp")):
                part.register_forward_hook(self._drop)

    def _drop(self, _: nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        return F.dropout(output, self.dropout, self.training)

    def pool(self, local: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Front-end features (batch, frames, CHANNELS) and true counts (batch,) to embeddings (batch, embed_dim)."""
        x = F.dropout(self.net.project(local), self.dropout, self.training)
        x = encode_dense(self.net, x, frames)
        valid = torch.arange(x.shape[1])[None, :] < frames[:, None]
        return (x * valid.unsqueeze(-1)).sum(dim=1) / frames[:, None]


def new_classifier(recipe: Recipe, extractor: FeatureExtractor) -> Classifier:
    """Fresh weights behind a copy of the taught front end."""
    settings = config(recipe.embed_dim, recipe.num_heads, recipe.depth, recipe.prenet_depth)
    net = build(settings)
    net.audio.local_encoder.load_state_dict(extractor.state_dict())
    if net.audio.alibi_scale is not None:
        # Not worth learning from utterances of a few seconds: the recipe was measured without.
        net.audio.alibi_scale.requires_grad_(False)
    return Classifier(net)


def segments(waves: list[Wave], seconds: float) -> list[Utterance]:
    """Cut unlabelled recordings into pieces that stand for utterances."""
    most = int(seconds * SAMPLE_RATE)
    pieces = [wave[start : start + most] for wave in waves for start in range(0, len(wave) - most // 2, most)]
    return [Utterance(f"piece{n}", "", "", UNLABELLED, piece) for n, piece in enumerate(pieces)]


def summarise(bank: Bank, recipe: Recipe, extractor: FeatureExtractor, seed: int) -> Classifier:
    """Teach the encoder the acoustic functionals of unlabelled speech: a start that all folds share."""
    torch.manual_seed(seed)
    model = new_classifier(recipe, extractor)
    fewer = dataclasses.replace(bank, functionals=bank.functionals[..., : recipe.summary_functionals])
    task = Task(fewer, range(len(bank.utterances)), recipe, seed)
    return _descend(model, task, recipe.summary, joint=False).eval()


def fit(bank: Bank, chosen: Sequence[int], recipe: Recipe, start: Classifier, seed: int) -> Classifier:
    """Train on the utterances `chosen` (indices into the bank) for a fixed number of steps; nothing else is seen."""
    torch.manual_seed(seed)
    model = copy.deepcopy(start)
    task = Task(bank, chosen, recipe, seed)
    model = _descend(model, task, recipe.upper, joint=False)
    if recipe.joint is not None:
        model = _descend(model, task, recipe.joint, joint=True)
    return model.eval()


def fit_all(bank: Bank, chosen: Sequence[int], recipe: Recipe, start: Classifier) -> Classifier:
    """Fit once for every seed and average the weights: all runs begin at `start`, so the mean is a model too."""
    models = [fit(bank, chosen, recipe, start, seed) for seed in recipe.seeds]
    with torch.no_grad():
        for parameters in zip(*(model.parameters() for model in models), strict=True):
            parameters[0].copy_(torch.stack([p.detach() for p in parameters]).mean(0))
    return models[0]


def _descend(model: Classifier, task: Task, stage: Stage, joint: bool) -> Classifier:
    """One stage of training, of everything or of all but the front end; returns the model's moving average."""
    trained = [p for name, p in model.named_parameters() if p.requires_grad and (joint or "local_encoder" not in name)]
    model.dropout = stage.dropout
    model.train()
    average = copy.deepcopy(model)
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1] + list(task.readout.parameters()), "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=stage.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: warm_cosine(n, stage.steps, stage.steps // 10))
    for _ in range(stage.steps):
        with torch.autocast("cpu", torch.bfloat16):
            loss = task.loss(model, stage, joint)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(new, 1 - stage.averaging)
    return average


class Task:
    """Batches of the training utterances, their targets, and the losses."""

    def __init__(self, bank: Bank, chosen: Sequence[int], recipe: Recipe, seed: int) -> None:
        self._bank, self._chosen = bank, np.array(chosen)
        self._rng = np.random.default_rng(seed)
        self._labels = bank.labels
        self._lengths = np.array([len(copies[0]) for copies in bank.local])
        self._batches: list[Ints] = []
        labels = self._labels[self._chosen]
        known = self._chosen[(labels >= 0).numpy()]
        domain = known if len(known) else self._chosen
        seen = bank.functionals[domain].flatten(0, 1)
        self._mean, self._deviation = seen.mean(0), seen.std(0) + 1e-3
        self.readout = nn.Linear(recipe.embed_dim, seen.shape[1])
        self._teaching: torch.Tensor | None = None
        if len(known):
            counts = torch.bincount(labels[labels >= 0], minlength=len(LETTERS)).float()
            self._weights = counts.sum() / (len(LETTERS) * counts.clamp_min(1))
            teacher = Teacher(seen, self._labels[known].repeat_interleave(bank.copies), recipe.teacher_decay)
            self._teaching = teacher.logits(bank.functionals)
            self._spread = teacher.logits(seen).std()

    def _draw(self, size: int) -> list[int]:
        """The next batch. Each comes from a random pool and has items of near lengths, as padding costs time."""
        if not self._batches:
            order = self._rng.permutation(self._chosen)
            for pool in np.array_split(order, max(1, round(len(order) / (_POOL_BATCHES * size)))):
                by_length = pool[np.argsort(self._lengths[pool], kind="stable")]
                self._batches += np.array_split(by_length, max(1, round(len(pool) / size)))
            self._batches = [self._batches[i] for i in self._rng.permutation(len(self._batches))]
        return [int(i) for i in self._batches.pop()]

    def loss(self, model: Classifier, stage: Stage, joint: bool) -> torch.Tensor:
        """Loss of one batch."""
        batch = self._draw(stage.batch)
        copies = self._rng.integers(0, self._bank.copies, len(batch))
        if joint:
            local, frames = self._from_waves(model, batch, copies, stage.crop_frames)
        else:
            local, frames = self._pad(
                [self._bank.local[u][c] for u, c in zip(batch, copies, strict=True)], stage.crop_frames
            )
        pooled = model.pool(self._mask(local, stage), frames).float()
        measured = ((self._bank.functionals[batch, copies] - self._mean) / self._deviation).clamp(-4, 4)
        loss = stage.functionals * F.mse_loss(self.readout(pooled), measured)
        if self._teaching is None:
            return loss
        logits = model.proj(F.dropout(pooled, stage.dropout)).float()
        if stage.teaching:
            centred = logits - logits.mean(1, keepdim=True)
            loss = loss + stage.teaching * F.mse_loss(
                centred / self._spread, self._teaching[batch, copies] / self._spread
            )
        known = self._labels[batch] >= 0
        if stage.labels and known.any():
            own = self._labels[batch][known]
            losses = F.cross_entropy(logits[known], own, label_smoothing=stage.smoothing, reduction="none")
            loss = loss + stage.labels * (losses * self._weights[own]).mean()
        return loss

    def _pad(self, items: list[torch.Tensor], most: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Random stretches of the items (frames, CHANNELS), padded: (batch, frames, CHANNELS), counts (batch,)."""
        cut = []
        for item in items:
            start = int(self._rng.integers(0, max(0, len(item) - most) + 1))
            cut.append(item[start : start + most])
        return nn.utils.rnn.pad_sequence(cut, batch_first=True).float(), torch.tensor([len(c) for c in cut])

    def _from_waves(
        self, model: Classifier, batch: list[int], copies: Ints, crop_frames: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `_pad`, but through the front end as it is now."""
        shape = model.net.architecture
        most = shape.samples_for(crop_frames)
        cut = []
        for u, c in zip(batch, copies, strict=True):
            wave = self._bank.waves[u][c]
            start = int(self._rng.integers(0, max(0, len(wave) - most) + 1))
            cut.append(wave[start : start + most])
        frames = torch.tensor([shape.frames_of(len(c)) for c in cut])
        waves = nn.utils.rnn.pad_sequence(cut, batch_first=True).float()
        return model.net.audio.local_encoder(waves), frames

    def _mask(self, local: torch.Tensor, stage: Stage) -> torch.Tensor:
        """Silence channels and two stretches of time in every item."""
        batch, frames, channels = local.shape
        keep = torch.from_numpy(self._rng.random((batch, 1, channels)) >= stage.channel_mask).float()
        hidden = np.ones((batch, frames, 1), dtype=np.float32)
        for row in hidden:
            for _ in range(2):
                start = self._rng.integers(0, frames)
                row[start : start + self._rng.integers(0, stage.time_mask + 1)] = 0
        return local * keep * torch.from_numpy(hidden)
