"""Tools over the pipelines: tuning of settings, and benchmarks."""
