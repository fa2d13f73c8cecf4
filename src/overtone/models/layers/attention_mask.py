"""The value that hides keys from attention. No torch here."""

HIDDEN = -1e30
"""Added to the logits of padded keys. Finite, so that a row in which all are hidden stays a number."""
