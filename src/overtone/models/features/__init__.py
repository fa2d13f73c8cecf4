"""Acoustic features in NumPy."""
