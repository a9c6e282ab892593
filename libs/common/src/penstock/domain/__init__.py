"""Pure rules and values: what may happen to workflows and runs, and what follows from it."""
