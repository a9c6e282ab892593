"""Alembic's environment and the migrations, written by hand; each says when it may run."""
