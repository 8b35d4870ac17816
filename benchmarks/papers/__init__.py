"""The tables of four papers, run end to end: ``python -m benchmarks.papers``."""
