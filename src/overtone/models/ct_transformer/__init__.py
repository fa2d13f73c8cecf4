"""CT-Transformer: punctuation of text."""
