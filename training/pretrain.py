"""Teaches the convolutional front end to measure speech: log-mel energies, periodicity, loudness.

It sees unlabelled speech that has nothing to do with the Berlin database, so that every fold of a
leave-one-speaker-out measurement may start from the same front end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from training.augment import Augmentation
from training.data import SAMPLE_RATE, Wave
from training.network import CHANNELS, build, config
from training.targets import FRAME_TARGETS, frame_targets

from overtone.models.emotion2vec.conv_features import FeatureExtractor

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """Settings of the front end's training."""

    steps: int = 4400
    batch: int = 16
    crop_seconds: float = 2.0
    rate: float = 2e-3
    first_scale: float = 0.06
    """Shrinks the first layer, so that its norm's epsilon is felt: without it, loudness would be lost there."""
    copies: int = 20
    """Differently perturbed copies of the recordings, made beforehand."""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            speed=1.7, formant=1.2, tilt_db=8.0, noise_db=(10.0, 50.0), noise_chance=0.5, room_chance=0.2
        )
    )
    bfloat16: bool = True


def pretrain(waves: list[Wave], plan: FrontEnd, seed: int, report: Report) -> FeatureExtractor:
    """Train a front end on `waves` and give it back."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pool = _pool(waves, plan, rng)
    report(f"front end: {sum(map(len, pool)) / SAMPLE_RATE / 60:.0f} minutes of perturbed speech")
    extractor = build(config()).audio.local_encoder
    first = extractor.get_parameter("conv_layers.0.0.weight")
    with torch.no_grad():
        first.mul_(plan.first_scale)
    readout = nn.Linear(CHANNELS, FRAME_TARGETS)
    mean, deviation = _statistics(pool, plan, rng)
    others = [p for p in [*extractor.parameters(), *readout.parameters()] if p is not first]
    groups = [{"params": [first], "lr": plan.rate * plan.first_scale}, {"params": others, "lr": plan.rate}]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-4, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step, plan.steps, 100))
    started = time.perf_counter()
    for step in range(plan.steps):
        batch = _crops(pool, plan, rng)
        wanted = (frame_targets(batch) - mean) / deviation
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.bfloat16):
            given = readout(extractor(batch))
        loss = F.mse_loss(given.float(), wanted)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_([first, *others], 1.0)
        optimiser.step()
        schedule.step()
        if step % 200 == 0 or step == plan.steps - 1:
            part = ((given.float() - wanted) ** 2).mean(dim=(0, 1)).detach()
            report(
                f"front end: step {step}, unexplained variance: mel {part[:40].mean():.3f}, "
                f"correlation {part[40:72].mean():.3f}, energy {part[72]:.3f} ({time.perf_counter() - started:.0f} s)"
            )
    return extractor


def warm_cosine(step: int, steps: int, warm: int) -> float:
    """Learning rate over its peak: a linear rise, then half a cosine down to zero."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _pool(waves: list[Wave], plan: FrontEnd, rng: np.random.Generator) -> list[Wave]:
    pool = [plan.augmentation.apply(wave, rng) for _ in range(plan.copies) for wave in waves]
    return [wave for wave in pool if len(wave) > plan.crop_seconds * SAMPLE_RATE]


def _crops(pool: list[Wave], plan: FrontEnd, rng: np.random.Generator) -> torch.Tensor:
    """(batch, samples) normalized; some crops with a swell or a pause, as acted speech has them."""
    samples = int(plan.crop_seconds * SAMPLE_RATE)
    lengths = np.array([len(wave) for wave in pool], dtype=float)
    crops = np.empty((plan.batch, samples), dtype=np.float32)
    for row, index in enumerate(rng.choice(len(pool), plan.batch, p=lengths / lengths.sum())):
        start = rng.integers(0, len(pool[index]) - samples + 1)
        crop = pool[index][start : start + samples]
        swell = np.interp(np.arange(samples), np.linspace(0, samples, 6), rng.uniform(-10, 10, 6))
        crops[row] = crop * 10 ** (swell / 20) if rng.random() < 0.5 else crop
        if rng.random() < 0.3:
            pause = rng.integers(0, samples - 4000)
            crops[row, pause : pause + rng.integers(800, 4000)] *= 10 ** -rng.uniform(1, 3)
    batch = torch.from_numpy(crops)
    return F.layer_norm(batch, batch.shape[1:])


def _statistics(pool: list[Wave], plan: FrontEnd, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of every frame target over some batches, each (FRAME_TARGETS,)."""
    sample = torch.cat([frame_targets(_crops(pool, plan, rng)).flatten(0, 1) for _ in range(20)])
    return sample.mean(0), sample.std(0)
