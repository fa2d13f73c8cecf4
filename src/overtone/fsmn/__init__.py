"""Where speech is, told by FunASR's FSMN-VAD: probabilities of every 10 ms, end points, segments. No torch here."""
