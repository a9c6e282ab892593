"""What became of a tenant, over both logs: told in one order, proved by its chains."""
