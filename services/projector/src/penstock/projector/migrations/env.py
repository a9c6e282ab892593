"""Runs the migrations on the connection that `penstock.projector.migrate` opened and holds."""

from alembic import context

from penstock.infra.postgres.tables import READ_MODELS, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=READ_MODELS,
    include_schemas=True,
)
context.run_migrations()
