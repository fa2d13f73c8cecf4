"""Every choice that training makes, in one place. README.md says what else was tried."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.augment import Augmentation
from training.pretrain import FrontEnd


@dataclass(frozen=True, slots=True)
class Stage:
    """One descent: how long, how fast, and how the network is kept from learning by heart."""

    steps: int
    rate: float
    batch: int = 16
    crop_frames: int = 125
    """Longest stretch of an utterance in a batch, in frames of 20 ms. The labels to be learned are of whole
    utterances, so short stretches teach with noise."""
    weight_decay: float = 0.05
    averaging: float = 0.99
    """Decay per step of the exponential moving average of the weights, which is kept."""
    dropout: float = 0.1
    """After the projection, after every attention and feed-forward part, and before the classifier."""
    channel_mask: float = 0.1
    """Chance of a local feature channel to be silenced over a whole utterance."""
    time_mask: int = 12
    """Longest silenced stretch, in frames; each utterance has two."""
    functionals: float = 1.0
    """Weight of the task to predict the acoustic functionals of the utterance."""
    smoothing: float = 0.1
    """Label smoothing."""
    teaching: float = 1.0
    """Weight of the task to give the teacher's logits, on labelled and unlabelled speech alike."""
    labels: float = 0.3
    """Weight of the cross-entropy with the labels."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The chosen values are the defaults."""

    embed_dim: int = 128
    num_heads: int = 4
    prenet_depth: int = 1
    depth: int = 1

    front_end: FrontEnd = field(default_factory=FrontEnd)
    """First stage: the convolutions learn to measure unlabelled speech."""

    summary: Stage = Stage(1200, 2e-3, crop_frames=140, dropout=0.05, time_mask=12)
    """Second stage: the encoder learns the acoustic functionals of unlabelled speech."""
    summary_functionals: int = 247
    """Number of them: all up to the periodicity, melody and rhythm, which come with the third stage."""
    summary_copies: int = 16
    summary_seconds: float = 2.8

    upper: Stage = Stage(
        2000,
        2e-3,
        crop_frames=300,
        dropout=0.03,
        channel_mask=0.05,
        time_mask=0,
        functionals=1.0,
        teaching=2.0,
        labels=0.2,
    )
    """Third stage: encoder and classifier learn the emotions; the front end stays as it is."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    copies: int = 20
    """Copies of every utterance: one as recorded, the others perturbed."""

    teacher_decay: float = 0.014
    """Weight decay of the linear teacher."""
    joint: Stage | None = None
    """Last stage: everything, front end included."""

    seeds: tuple[int, ...] = (0,)
    """Third and last stage are run once for each; the weights are averaged."""
