"""Segments between the end-points that FSMN-VAD finds."""
