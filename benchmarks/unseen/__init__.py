"""Drawings that no weights were trained on: other fonts and other drawing code than those of benchmarks.drawings."""
