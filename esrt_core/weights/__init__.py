"""Weights: list, find, download, verify, load and save them."""
