"""Clips: probing, decoding, encoding, muxing."""
