"""FunASR as the oracle."""
