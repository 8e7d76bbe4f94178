"""HTTP: router, decoding, encoding, errors."""
