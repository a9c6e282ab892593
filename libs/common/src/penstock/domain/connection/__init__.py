"""Connections of a tenant: how to reach a server of somebody else, and as whom."""
