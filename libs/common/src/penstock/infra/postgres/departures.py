"""What is kept of tenants that were deleted, as SQLAlchemy tables: what was removed of them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from penstock.infra.postgres.vault import SCHEMA, metadata

erasures = Table(
    "erasures",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("erased_at", DateTime(timezone=True), nullable=False),
    Column("keys_destroyed_at", DateTime(timezone=True)),
    Column("data_keys", Integer, nullable=False, server_default=text("0")),
    Column("rows", JSON, nullable=False, comment="how many were removed, by table"),
    Column("objects", BigInteger, nullable=False),
    Column("object_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", name="erasures_pkey"),
    schema="penstock",
)
"""A read model: the proofs that nothing is left of them."""

erasing = Table(
    "erasing",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("rows", JSONB, nullable=False, comment="how many are removed so far, by table"),
    Column("objects", BigInteger, nullable=False),
    Column("object_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", name="erasing_pkey"),
    schema=SCHEMA,
)
"""What was removed so far of tenants that are deleted."""
