"""Training: pictures become weights."""
