"""Reproduction of the tables of four papers: ``python -m benchmarks.papers``."""
