"""Objects too large for a message, in JetStream or in a store that speaks S3."""
