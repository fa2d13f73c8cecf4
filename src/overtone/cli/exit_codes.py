"""Exit codes that no error has: those of `overtone.errors` have their own."""

INTERRUPTED = 130
"""Ended by Ctrl-C or SIGTERM: 128 and the number of SIGINT, as shells have it."""
