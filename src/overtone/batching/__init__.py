"""Batching: the queue of segments, the policy that groups them, and the memory a batch may take."""
