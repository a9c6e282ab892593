"""The HTTP door: knows the caller, turns requests into commands, answers from read models."""
