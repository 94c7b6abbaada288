"""Upscale folders of pictures on a Ray cluster."""
