"""Seconds as text, the same in files, plots, the terminal and the page."""

from __future__ import annotations


def clock(seconds: float, digits: int = 0, *, mark: str = ".", padded: bool = False) -> str:
    """A time as a clock shows it: `3:05`, and `1:02:03` from an hour on.

    Parameters
    ----------
    seconds : float
        At least 0.
    digits : int, default 0
        Decimals of the seconds.
    mark : str, default "."
        Stands before the decimals.
    padded : bool, default False
        Show hours always, in two digits or more: `00:03:05`, as subtitles have it.
    """
    whole, rest = divmod(round(seconds * 10**digits), 10**digits)
    decimals = f"{mark}{rest:0{digits}d}" if digits else ""
    hours, minutes = divmod(whole // 60, 60)
    if padded:
        head = f"{hours:02d}:{minutes:02d}"
    else:
        head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{whole % 60:02d}{decimals}"


def duration(seconds: float) -> str:
    """A length of time: `4.2 s`, `3:05`, `1:02:03`."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def rounded_duration(seconds: float) -> str:
    """A length of time in two figures: `0.92 s`, `14 s`, `3.5 min`, `2 h`."""
    if seconds < 60:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 5700 else f"{seconds / 3600:.2g} h"
