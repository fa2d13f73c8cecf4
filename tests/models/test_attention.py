from __future__ import annotations

import math

import pytest
import torch

from overtone.models import attention
from overtone.models.attention import alibi_bias, alibi_slopes, attend


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 8, 12, 16, 20])
def test_slopes_fall_from_the_papers_first_one(heads: int) -> None:
    slopes = alibi_slopes(heads)
    assert len(slopes) == heads
    assert all(0 < slope < 1 for slope in slopes)
    if heads & (heads - 1) == 0:
        assert slopes == pytest.approx([2 ** (-8 * (i + 1) / heads) for i in range(heads)])


def test_the_bias_is_minus_slope_times_distance_and_zero_for_extra_tokens() -> None:
    slopes = torch.tensor([0.5, 0.25])
    bias = alibi_bias(slopes, range(1, 5), keys=6, extra=2)
    for head, slope in enumerate((0.5, 0.25)):
        for i, query in enumerate(range(1, 5)):
            for key in range(6):
                expected = 0.0 if query < 2 or key < 2 else -slope * abs(query - key)
                assert bias[head, i, key] == expected


def dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, slopes: torch.Tensor, valid: torch.Tensor, extra: int):
    """Attention written out, with the whole bias."""
    tokens = q.shape[2]
    logits = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + alibi_bias(slopes, range(tokens), tokens, extra)
    logits = logits.masked_fill(~valid[:, None, None, :], float("-inf"))
    return logits.softmax(-1) @ v


@pytest.mark.parametrize("block", [1, 1000, 100_000, 1 << 30])
def test_blocks_of_any_size_equal_the_whole(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "BIAS_BYTES", block)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 70, 8)
    slopes = torch.tensor(alibi_slopes(4))
    valid = torch.ones(2, 70, dtype=torch.bool)
    valid[1, 50:] = False
    expected = dense(q, k, v, slopes, valid, 10)
    torch.testing.assert_close(attend(q, k, v, slopes, valid, 10), expected, rtol=0, atol=1e-5)
    everything = torch.ones_like(valid)
    torch.testing.assert_close(
        attend(q, k, v, slopes, None, 10), dense(q, k, v, slopes, everything, 10), rtol=0, atol=1e-5
    )


def test_the_bias_never_exists_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    real = attention.alibi_bias

    def watched(*args: object) -> torch.Tensor:
        nonlocal largest
        bias = real(*args)  # type: ignore[arg-type]
        largest = max(largest, bias.numel() * bias.element_size())
        return bias

    monkeypatch.setattr(attention, "alibi_bias", watched)
    tokens = 6000  # 120 s; whole, the bias of 12 heads would be 1.7 GB
    q, k, v = torch.zeros(3, 1, 12, tokens, 4)
    attend(q, k, v, torch.tensor(alibi_slopes(12)), None, 10)
    assert 0 < largest <= attention.BIAS_BYTES
