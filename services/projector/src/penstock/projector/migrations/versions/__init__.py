"""One file a migration, applied in the order of their numbers."""
