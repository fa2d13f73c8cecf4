"""Networks: inference only, by true lengths, exact in a batch."""
