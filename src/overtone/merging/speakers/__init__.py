"""Who speaks when: windows' embeddings into voices told apart, voices into turns, turns to sentences."""
