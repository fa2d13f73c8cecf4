"""The inner width of feed-forward parts, chosen so that a CPU keeps their weights in one form."""

from __future__ import annotations

import torch
from torch import nn

_CONV_RATIO, _CONV_INPUTS = 4, range(96, 4097)
"""Up to so many outputs for each input, and with so many inputs, OpenVINO (2026.4, AVX-512) runs a product in float32
that an activation follows as a 1x1 convolution, and packs its weights again for batches of another size. The published
shapes lie on that bound. One step beyond it is an inner product, whose weights serve every batch: 108 MiB less for
emotion2vec's base shape, and the same numbers to the bit. Feed-forward parts alone ran 1.01 to 1.08 times as fast (110
to 1,510 tokens, two threads), the encoder 1.00 to 1.08 times (medians; 30 to 750 tokens)."""

_STEP = 16
"""Outputs of a vector register."""


def widen_inner(part: nn.Module) -> None:
    """Add outputs to the first linear map of every feed-forward part, which the second gives no weight.

    part: anything that holds such parts: modules with a method `products`, the two maps around an activation of each
    number by itself.
    """
    for module in part.modules():
        products = getattr(module, "products", None)
        if callable(products):
            first, second = products()
            if first.in_features in _CONV_INPUTS and first.out_features == _CONV_RATIO * first.in_features:
                _widen(first, second)


@torch.no_grad()
def _widen(first: nn.Linear, second: nn.Linear) -> None:
    # Rows that are there already: of zeros no range could be told where weights are quantized.
    first.weight = nn.Parameter(torch.cat([first.weight, first.weight[:_STEP]]))
    first.bias = nn.Parameter(torch.cat([first.bias, first.bias[:_STEP]]))
    unused = second.weight.new_zeros(second.out_features, _STEP)
    second.weight = nn.Parameter(torch.cat([second.weight, unused], dim=1))
    first.out_features += _STEP
    second.in_features += _STEP
