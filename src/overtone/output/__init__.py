"""Results on their way out: records, file formats, embeddings, plots, resuming."""
