"""Models through PyTorch, on a GPU or a CPU."""
