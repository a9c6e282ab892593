"""What a user drew: workflows as frozen values, their life, and why a drawing cannot run."""
