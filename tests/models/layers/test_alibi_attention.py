from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from overtone.models.layers import alibi_attention, attention_span
from overtone.models.layers.alibi_attention import alibi_bias, alibi_slopes, attend


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 8, 12, 16, 20])
def test_slopes_fall_from_the_papers_first_one(heads: int) -> None:
    slopes = alibi_slopes(heads)
    assert len(slopes) == heads
    assert all(0 < slope < 1 for slope in slopes)
    if heads & (heads - 1) == 0:
        assert slopes == pytest.approx([2 ** (-8 * (i + 1) / heads) for i in range(heads)])


def test_the_bias_is_minus_slope_times_distance() -> None:
    bias = alibi_bias(torch.tensor([0.5, 0.25]), 3, range(-2, 5))
    for head, slope in enumerate((0.5, 0.25)):
        for query in range(3):
            assert bias[head, query].tolist() == [-slope * abs(query - key) for key in range(-2, 5)]


def masses(q: torch.Tensor, k: torch.Tensor, slopes: torch.Tensor, valid: torch.Tensor, extra: int) -> torch.Tensor:
    """The softmax written out, with the whole bias, in double precision: (batch, heads, tokens, tokens)."""
    place = torch.arange(q.shape[2])
    distance = (place[:, None] - place).abs().double()
    distance[:extra] = 0
    distance[:, :extra] = 0
    logits = q.double() @ k.double().mT / math.sqrt(q.shape[-1]) - slopes.double()[:, None, None] * distance
    return logits.masked_fill(~valid[:, None, None, :], float("-inf")).softmax(-1)


def dense(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, slopes: torch.Tensor, valid: torch.Tensor | None, extra: int
) -> torch.Tensor:
    valid = torch.ones(q.shape[0], q.shape[2], dtype=torch.bool) if valid is None else valid
    return (masses(q, k, slopes, valid, extra) @ v.double()).float()


def padding(tokens: int, *lengths: int) -> torch.Tensor:
    return torch.arange(tokens) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("extra", [0, 10])
@pytest.mark.parametrize("block", [1, 1000, 100_000, 1 << 30])
def test_blocks_of_any_size_equal_the_whole(block: int, extra: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alibi_attention, "BIAS_BYTES", block)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 150, 8)
    slopes = torch.tensor(alibi_slopes(4))
    for valid in (None, padding(150, 150, 120), padding(150, 140, 120)):
        got, real = attend(q, k, v, slopes, valid, extra), slice(None) if valid is None else valid
        # Sums of 150 terms of the order of 1, in another order.
        torch.testing.assert_close(
            got.transpose(1, 2)[real],
            dense(q, k, v, slopes, valid, extra).transpose(1, 2)[real],
            rtol=0,
            atol=1e-5,
        )
        assert got.isfinite().all()


@pytest.mark.parametrize("share", [0.0, attention_span.SKIPPED_SHARE])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_bias_never_exists_as_a_whole(batch: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    real, attention_of = alibi_attention.alibi_bias, alibi_attention.F.scaled_dot_product_attention

    def watched(*args: object) -> torch.Tensor:
        bias = real(*args)  # type: ignore[arg-type]
        note(bias)
        return bias

    def note(bias: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, bias.numel() * bias.element_size())

    def watched_attention(*args: torch.Tensor, attn_mask: torch.Tensor | None) -> torch.Tensor:
        if attn_mask is not None and attn_mask.is_floating_point():
            note(attn_mask)
        return attention_of(*args, attn_mask=attn_mask)

    monkeypatch.setattr(alibi_attention, "alibi_bias", watched)
    monkeypatch.setattr(alibi_attention.F, "scaled_dot_product_attention", watched_attention)
    tokens = 3000  # 60 s; whole, the bias of 12 heads would be 430 MB
    q, k, v = torch.zeros(3, batch, 12, tokens, 4)
    valid = padding(tokens, *(tokens - 100 * i for i in range(batch)))
    attend(q, k, v, torch.tensor(alibi_slopes(12)), valid, 10, share)
    least = batch * 12 * alibi_attention._MIN_QUERIES * tokens * 4
    assert 0 < largest <= max(alibi_attention.BIAS_BYTES, least)


# Keys that are left out


def bands_of(
    q: torch.Tensor, k: torch.Tensor, slopes: torch.Tensor, valid: torch.Tensor | None, extra: int
) -> list[attention_span.HeadGroup]:
    return attention_span.bands(
        q.float().numpy(), k.float().numpy(), slopes.numpy(), None if valid is None else valid.numpy(), extra
    )


def left_out(
    found: list[attention_span.HeadGroup], share: torch.Tensor, valid: torch.Tensor, extra: int, size: int
) -> torch.Tensor:
    """Largest share of a real query's softmax outside what its block of `size` queries sees."""
    tokens = share.shape[-1]
    worst = torch.zeros(())
    for band in found:
        for start in range(extra, tokens, size):
            rows = range(start, min(start + size, tokens))
            keys = band.keys(rows, extra, tokens)
            some = share[:, :, rows.start : rows.stop][:, list(band.heads)]
            lost = some[..., extra : keys.start].sum(-1) + some[..., keys.stop :].sum(-1)
            lost = lost.masked_fill(~valid[:, None, rows.start : rows.stop], 0)
            worst = torch.maximum(worst, lost.max())
    return worst


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1 << 30),
    tokens=st.integers(attention_span.MIN_TOKENS, 1100),
    extra=st.sampled_from([0, 1, 10, 40]),
    scale=st.sampled_from([1.0, 0.0, 0.1, 3.0, 10.0, 100.0]),
    common=st.sampled_from([0.0, 1.0, 100.0]),
    slopes=st.lists(st.sampled_from([0.0, 1e-6, 0.004, 0.06, 0.5, 1.0, 30.0]), min_size=3, max_size=3),
    outlier=st.tuples(st.integers(0, 1099), st.sampled_from([None, -5.0, 5.0, 1e4])),
    short=st.integers(0, 300),
    size=st.sampled_from([16, 48, 192]),
)
def test_what_is_left_out_is_less_than_allowed(
    seed: int,
    tokens: int,
    extra: int,
    scale: float,
    common: float,
    slopes: list[float],
    outlier: tuple[int, float | None],
    short: int,
    size: int,
) -> None:
    """Any size of logits, what all keys share, a far key that one query looks for, padding of any kind.

    outlier: that key, and the logit which it has left, for the query half of all tokens away, when the way is paid for.
    """
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 2, 3, tokens, 8, generator=generator)
    q, k = scale * q, k + common * torch.randn(8, generator=generator)
    slope = torch.tensor(slopes)
    if outlier[1] is not None:
        place = outlier[0] % tokens
        far = (place + tokens // 2) % tokens
        logit = slope[:, None] * abs(place - far) + outlier[1]
        k[:, :, place] = q[:, :, far] * logit * 8**0.5 / q[:, :, far].square().sum(-1, keepdim=True).clamp_min(1e-9)
    valid = padding(tokens, tokens, tokens - short)
    k[1, :, tokens - short :] = 1e3  # what stands in padding is no key
    found = bands_of(q, k, slope, valid, extra)
    assert sorted(head for band in found for head in band.heads) == [0, 1, 2]
    # The bound holds for exact numbers; double precision in `masses` is nearly that.
    assert left_out(found, masses(q, k, slope, valid, extra), valid, extra, size) <= attention_span.SKIPPED_SHARE
    q, k, v, slope = q.double(), k.double(), v.double(), slope.double()
    whole, got = (attend(q, k, v, slope, valid, extra, share) for share in (0.0, attention_span.SKIPPED_SHARE))
    # What is left out, and its weight given to the rest; 1e-9 is what double precision rounds logits of up to 1e6 by.
    atol = 2 * attention_span.SKIPPED_SHARE * float(v.abs().max()) + 1e-9
    torch.testing.assert_close(got.transpose(1, 2)[valid], whole.transpose(1, 2)[valid], rtol=0, atol=atol)
    assert got.isfinite().all()


def test_a_far_key_that_is_looked_for_is_seen() -> None:
    """A steep head would see 50 tokens; one query looks for a key 1,000 tokens away, whose norm outweighs the slope."""
    torch.manual_seed(0)
    tokens = 1200
    q, k, v = 0.1 * torch.randn(3, 1, 1, tokens, 64)
    slope = torch.tensor([0.5])
    reach = [max(band.attention_spans) for band in bands_of(q, k, slope, None, 10)]
    assert reach[0] < 60
    q[0, 0, 1100], k[0, 0, 100] = 8.0, 10.0  # a logit of 8 * 10 * 64 / 8 = 640, and 500 to pay for the way
    out = attend(q, k, v, slope, None, 10)
    torch.testing.assert_close(out[0, 0, 1100], v[0, 0, 100], rtol=0, atol=1e-6)
    (band,) = bands_of(q, k, slope, None, 10)
    units = [(1100 - 10) // attention_span.UNIT, (600 - 10) // attention_span.UNIT]
    assert band.attention_spans[units[0]] >= 1000
    # Others look for nothing far: their own windows stay their own.
    assert band.attention_spans[units[1]] < 500


def test_what_stands_in_padding_widens_no_window() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 2, 3, 1000, 16)
    slopes = torch.tensor([0.7, 0.2, 0.05])
    valid = padding(1000, 1000, 900)
    windows = []
    for loud in (0.0, 1.0, 1e3):
        q[1, :, 900:], k[1, :, 900:] = loud, loud * torch.arange(16.0)
        windows.append(bands_of(q, k, slopes, valid, 10))
    assert windows[0] == windows[1] == windows[2]


def test_steep_heads_see_little_and_flat_ones_everything() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 4, 1500, 64)
    found = bands_of(q, k, torch.tensor([0.0, 1.0, 0.9, 0.1]), None, 10)
    assert [band.heads for band in found] == [(0,), (3,), (1, 2)]
    assert min(found[0].attention_spans) == 1490
    # Norms of 64 normal numbers are about 8, so logits at most some 15: (2 * 15 + 16) / slope.
    assert max(found[1].attention_spans) < 500
    assert max(found[2].attention_spans) < 60


def test_numbers_that_are_none_leave_nothing_out() -> None:
    q, k = torch.randn(2, 1, 2, 800, 8)
    k[0, 0, 300, 0] = float("nan")
    q[0, 1, 300, 0] = float("inf")
    for band in bands_of(q, k, torch.tensor([1.0, 1.0]), None, 0):
        assert max(band.attention_spans) == 800


def test_nothing_is_asked_where_nothing_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_span, "score_margin", None)
    q, k, v = torch.randn(3, 1, 2, 800, 8)
    slopes = torch.tensor([1.0, 0.5])
    attend(q, k, v, slopes, None, 10, 0.0)
    short = slice(0, attention_span.MIN_TOKENS - 1)
    attend(q[:, :, short], k[:, :, short], v[:, :, short], slopes, None, 10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_leaves_out_no_more(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    q, k, v = (x.to(dtype) for x in torch.randn(3, 1, 3, 800, 16))
    slopes = torch.tensor([0.7, 0.2, 0.01])
    found = bands_of(q, k, slopes, None, 10)
    assert max(found[-1].attention_spans) < 150  # of 790
    valid = torch.ones(1, 800, dtype=torch.bool)
    assert left_out(found, masses(q, k, slopes, valid, 10), valid, 10, 16) <= attention_span.SKIPPED_SHARE
    # Outputs of the order of 1, rounded to 8 bits and 11 of them: one step of the last place.
    atol = {torch.bfloat16: 2**-6, torch.float16: 2**-9}[dtype]
    torch.testing.assert_close(
        attend(q, k, v, slopes, None, 10), attend(q, k, v, slopes, None, 10, 0.0), rtol=0, atol=atol
    )
