"""The read models' tables and the one door through which a tenant's rows are read."""
