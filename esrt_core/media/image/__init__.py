"""Still images and animations: formats, decoding, encoding and metadata."""
