"""Train ESRT from scratch, or fit it to a folder of pictures."""
