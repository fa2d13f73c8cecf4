"""Runtimes: what the engine asks of them, and those there are."""
