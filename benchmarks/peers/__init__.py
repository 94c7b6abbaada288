"""Other people's networks with their own weights, beside ours: python -m benchmarks.peers."""
