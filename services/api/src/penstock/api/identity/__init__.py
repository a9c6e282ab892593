"""People: passwords, sessions, tokens, and whose address is whose."""
