"""A linear teacher: multinomial regression from an utterance's acoustic functionals to its emotion."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from training.data import LETTERS


class Teacher:
    """Fits on (items, FUNCTIONALS) and int64 labels (items,); classes weigh the same however frequent they are."""

    def __init__(self, functionals: torch.Tensor, labels: torch.Tensor, decay: float) -> None:
        self._mean, self._deviation = functionals.mean(0), functionals.std(0) + 1e-3
        inputs = self.standardise(functionals)
        counts = torch.bincount(labels, minlength=len(LETTERS)).float()
        weights = counts.sum() / (len(LETTERS) * counts.clamp_min(1))
        self._weight = torch.zeros(len(LETTERS), inputs.shape[1], requires_grad=True)
        self._bias = torch.zeros(len(LETTERS), requires_grad=True)
        optimiser = torch.optim.LBFGS([self._weight, self._bias], max_iter=150, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimiser.zero_grad()
            losses = F.cross_entropy(F.linear(inputs, self._weight, self._bias), labels, reduction="none")
            loss = (losses * weights[labels]).mean() + decay * self._weight.square().sum()
            torch.autograd.backward(loss)
            return loss

        optimiser.step(closure)  # type: ignore[no-untyped-call]

    def standardise(self, functionals: torch.Tensor) -> torch.Tensor:
        """(..., FUNCTIONALS) to about zero mean and unit variance, without outliers."""
        return ((functionals - self._mean) / self._deviation).clamp(-4, 4)

    def logits(self, functionals: torch.Tensor) -> torch.Tensor:
        """(..., FUNCTIONALS) to (..., classes), of mean zero over the classes."""
        with torch.no_grad():
            raw = F.linear(self.standardise(functionals), self._weight, self._bias)
        return raw - raw.mean(-1, keepdim=True)
