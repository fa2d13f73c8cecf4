"""emotion2vec: the emotion of speech, for a file, a segment or every 20 ms."""
