"""The event log: its port, its two implementations, and the loop that decides over it."""
