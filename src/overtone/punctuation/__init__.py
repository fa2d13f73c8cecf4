"""Punctuation put into recognised words, by FunASR's CT-Transformer, and the sentences that follow from it."""
