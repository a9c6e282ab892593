"""Whether the archive hangs together, equals the stream, and folds to exactly the rows."""
