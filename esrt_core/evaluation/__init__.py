"""Evaluate results by the field's protocol, and compare them."""
