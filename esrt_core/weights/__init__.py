"""Weights: what there is, where it is, and how it becomes a network."""
