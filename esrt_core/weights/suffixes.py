"""The ends of weights files' names."""

PICKLED = (".pth", ".pt")
SUFFIXES = (".safetensors", *PICKLED)
