"""Outputs of segments put together: emotions, transcripts, sentences, speakers."""
