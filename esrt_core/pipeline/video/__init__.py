"""One clip, from file to file."""
