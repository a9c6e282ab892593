"""Keys: what seals, what is sealed with it, and how a key-encryption key is replaced."""
