"""Benchmarks, run manually; no test depends on their times."""
