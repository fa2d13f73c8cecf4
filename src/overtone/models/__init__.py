"""Networks: inference only, told the true lengths, exact in a batch."""
