"""Gates: how many runs of a workflow, or of a key, are on their way at once, and how many begin."""
