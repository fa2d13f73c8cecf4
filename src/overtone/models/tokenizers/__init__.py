"""Tokenizers: token ids to text and back."""
