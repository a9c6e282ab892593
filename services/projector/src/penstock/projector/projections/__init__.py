"""Recorded event to SQL statements, one module per read model."""
