"""Upscale a picture, a folder or a clip from file to file."""
