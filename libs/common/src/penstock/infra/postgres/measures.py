"""What is measured of tenants, as SQLAlchemy tables."""

from sqlalchemy import BigInteger, Column, DateTime, PrimaryKeyConstraint, Table, Uuid

from penstock.infra.postgres.vault import metadata

SAMPLED = "estimated where tables are large"

stored_bytes = Table(
    "stored_bytes",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("measured_at", DateTime(timezone=True), nullable=False),
    Column("object_bytes", BigInteger, nullable=False),
    Column("row_bytes", BigInteger, nullable=False, comment=SAMPLED),
    PrimaryKeyConstraint("tenant_id", name="stored_bytes_pkey"),
    schema="penstock",
)
"""How many bytes each tenant has stored; no read model, but measured now and then."""
