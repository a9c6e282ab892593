"""Everything said to NATS: subjects, streams, publishing, objects too large for a message."""
