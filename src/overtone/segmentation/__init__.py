"""Segmentation of audio: at pauses of speech, in windows, or not at all."""
