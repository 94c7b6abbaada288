"""A folder of pictures on many machines, with Ray."""
