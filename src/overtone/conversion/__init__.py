"""From published checkpoints to models converted for the CPU: made once, kept, and measured against float32."""

from overtone.conversion.store import convert, converted, discard_damaged, fingerprint

__all__ = ["convert", "converted", "discard_damaged", "fingerprint"]
