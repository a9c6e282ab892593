"""Users: the people of a tenant, all one aggregate, for only together they have a last admin."""
