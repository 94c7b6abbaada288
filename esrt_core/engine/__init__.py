"""A network, a device and tiles: a Frame in, a larger Frame out."""
