"""`Edits`: bytes that FFmpeg is shown in place of some of a file."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Edits:
    """Bytes to leave out at the start, and bytes to show in place of others.

    skip: bytes that are left out at the start. patches: bytes by their offset, counted from behind those.
    """

    skip: int = 0
    patches: dict[int, bytes] = field(default_factory=dict)

    def applied(self, data: bytes, offset: int) -> bytes:
        """`data`, read at an offset, as it is to be shown."""
        changed = None
        for at, patch in self.patches.items():
            low, high = max(at, offset), min(at + len(patch), offset + len(data))
            if low < high:
                changed = changed or bytearray(data)
                changed[low - offset : high - offset] = patch[low - at : high - at]
        return data if changed is None else bytes(changed)
