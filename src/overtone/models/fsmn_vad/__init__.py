"""FSMN-VAD: how likely each 10 ms is speech."""
