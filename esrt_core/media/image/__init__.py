"""Still pictures: formats, decoding, encoding, metadata."""
