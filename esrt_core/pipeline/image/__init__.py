"""Upscale one picture from file to file."""
