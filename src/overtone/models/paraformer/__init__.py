"""Paraformer: non-autoregressive recognition, with hotwords (SeACo) and streaming."""
