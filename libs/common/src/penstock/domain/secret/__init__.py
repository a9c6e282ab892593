"""Secrets of a tenant: named values that some fields of steps read and nobody is ever shown."""
