"""Logs, metrics and traces: one place for their names and for how a cause is followed."""
