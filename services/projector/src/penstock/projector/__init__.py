"""The log read in order into Postgres, and the audit that compares the two."""
