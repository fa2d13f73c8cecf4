"""Audio cut into segments: where speech pauses, in windows, or not at all."""
