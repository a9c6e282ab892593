"""Events of a tenant: what happened in its own world, for whoever waits for the like."""
