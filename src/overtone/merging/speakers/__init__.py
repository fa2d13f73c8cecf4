"""Speaker diarization: embeddings of windows clustered into voices, voices into turns, turns to sentences."""
