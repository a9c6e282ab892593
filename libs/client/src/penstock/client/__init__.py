"""Penstock from outside: the Python SDK over HTTP and the `penstock` command."""
