"""The wire contract: envelopes, the catalogue of message types, and their evolution."""
