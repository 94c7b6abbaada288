"""Upscale pictures and clips with ESRT."""
