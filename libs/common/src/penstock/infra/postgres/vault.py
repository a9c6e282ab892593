"""The schema `vault` as SQLAlchemy tables: what is never an event and what no rebuild touches.

Key hashes, wrapped data keys and sealed secrets; what is counted against limits. Row security is as
for the read models; what crosses tenants, or is for executors, goes through the functions that the
migrations make.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

SCHEMA = "vault"

metadata = MetaData()
"""Of all tables, the read models' too."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("role", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("tenant_id", "id", name="api_keys_pkey"),
    schema=SCHEMA,
)
"""Hashes of API keys, looked up by `vault.find_api_key`."""
Index("vault_api_keys_by_id", api_keys.c.id)

data_keys = Table(
    "data_keys",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("kek_id", Text, nullable=False, comment="the key-encryption key that wraps it"),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("tenant_id", "id", name="data_keys_pkey"),
    schema=SCHEMA,
)
"""The tenants' data keys: see `penstock.infra.keyring`."""
Index("data_keys_by_kek", data_keys.c.kek_id, data_keys.c.tenant_id, data_keys.c.id)

destroyed_keys = Table(
    "destroyed_keys",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("destroyed_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("keys", Integer, nullable=False, comment="how many data keys there were"),
    PrimaryKeyConstraint("tenant_id", name="destroyed_keys_pkey"),
    schema=SCHEMA,
)
"""Tenants that get no data key any more."""

sealed_secrets = Table(
    "secrets",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False, comment="secret or connection"),
    Column("name", Text, nullable=False),
    Column("key_id", Uuid, comment="the data key that seals it"),
    Column("sealed", LargeBinary, comment="null once it was removed"),
    Column(
        "seq",
        BigInteger,
        nullable=False,
        comment="of the event that says so; a later one stands",
    ),
    PrimaryKeyConstraint("tenant_id", "kind", "name", name="secrets_pkey"),
    schema=SCHEMA,
)
"""What secrets and connections are, sealed; looked up by `vault.find_secrets`."""

daily_executions = Table(
    "daily_executions",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("day", Date, nullable=False),
    Column(
        "granted", BigInteger, nullable=False, comment="runs that may have begun, blocks included"
    ),
    PrimaryKeyConstraint("tenant_id", "day", name="daily_executions_pkey"),
    schema=SCHEMA,
)
"""Runs that tenants have begun in a day (UTC)."""

workflow_places = Table(
    "workflow_places",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("workflow_id", Uuid, nullable=False),
    Column("taken_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("tenant_id", "workflow_id", name="workflow_places_pkey"),
    schema=SCHEMA,
)
"""Workflows that are being made, until the read models have them."""
