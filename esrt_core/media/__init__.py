"""Decode and encode images and video. Never imports torch."""
