"""Text with punctuation restored."""
