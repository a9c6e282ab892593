"""Tenants and their API keys: two small aggregates of the registry."""
