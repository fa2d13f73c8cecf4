"""Perturbed copies of the utterances and what the front end makes of them, made once and used many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from training.augment import Augmentation
from training.data import Utterance, Wave, normalise
from training.targets import frame_targets, functionals

from overtone.models.emotion2vec.conv_features import FeatureExtractor


@dataclass(frozen=True, slots=True)
class Bank:
    """All copies of all utterances. Copy 0 is as recorded."""

    utterances: list[Utterance]
    waves: list[list[torch.Tensor]]
    """[utterance][copy]: (samples,) float16, normalized."""
    local: list[list[torch.Tensor]]
    """[utterance][copy]: (frames, CHANNELS) bfloat16, the front end's features."""
    functionals: torch.Tensor
    """(utterances, copies, FUNCTIONALS) float32."""

    @property
    def labels(self) -> torch.Tensor:
        """int64 (utterances,)."""
        return torch.tensor([utterance.label for utterance in self.utterances])

    @property
    def copies(self) -> int:
        """Copies of every utterance."""
        return self.functionals.shape[1]

    def limited(self, copies: int) -> Bank:
        """With the first `copies` copies only."""
        waves, local = [w[:copies] for w in self.waves], [f[:copies] for f in self.local]
        return Bank(self.utterances, waves, local, self.functionals[:, :copies])

    def __add__(self, other: Bank) -> Bank:
        """The utterances of both."""
        measured = torch.cat([self.functionals, other.functionals])
        return Bank(self.utterances + other.utterances, self.waves + other.waves, self.local + other.local, measured)


def build_bank(
    utterances: list[Utterance], extractor: FeatureExtractor, augmentation: Augmentation, copies: int, seed: int
) -> Bank:
    """Perturb and measure every utterance; each copy has a separate random generator."""
    waves, local, measured = [], [], []
    for index, utterance in enumerate(utterances):
        versions = [
            torch.from_numpy(normalise(_version(utterance.wave, augmentation, seed, index, copy)))
            for copy in range(copies)
        ]
        with torch.inference_mode():
            local.append([local_features(extractor, wave).bfloat16() for wave in versions])
            measured.append(
                torch.stack([functionals(frame_targets(wave.half().float()[None])[0]) for wave in versions])
            )
        waves.append([wave.half() for wave in versions])
    return Bank(utterances, waves, local, torch.stack(measured))


def local_features(extractor: FeatureExtractor, wave: torch.Tensor) -> torch.Tensor:
    """(samples,) normalized to (frames, CHANNELS)."""
    features: torch.Tensor = extractor(wave[None])[0]
    return features


def _version(wave: Wave, augmentation: Augmentation, seed: int, index: int, copy: int) -> Wave:
    if copy == 0:
        return wave
    return augmentation.apply(wave, np.random.default_rng((seed, index, copy)))
