"""Models loaded, each with a share of the budget, and the loop that runs batches."""
