"""Training: fit the network to pictures."""
