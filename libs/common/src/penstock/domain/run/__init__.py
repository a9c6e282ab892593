"""One run's life: its commands, events, state, and the rules that decide between them."""
