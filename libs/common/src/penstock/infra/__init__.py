"""The shell every service shares: NATS, Postgres, the event log, settings, telemetry."""
