"""One piece of work in, one report out."""
