"""Run a network on frames: tiles, devices, precision and memory."""
