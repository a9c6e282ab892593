"""Variables of a tenant: named values that its workflows read."""
