"""Upscale pictures, folders and clips from file to file."""
