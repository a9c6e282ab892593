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

emails = Table(
    "emails",
    metadata,
    Column("digest", LargeBinary, nullable=False, comment="keyed digest of the address"),
    Column("tenant_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    PrimaryKeyConstraint("digest", name="emails_pkey"),
    schema=SCHEMA,
)
"""Whose an address is: one user of the whole installation, so the tenant is no part of the key."""
Index("emails_by_user", emails.c.tenant_id, emails.c.user_id)

logins = Table(
    "logins",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("password_hash", Text, comment="argon2id; null until an invitation is accepted"),
    Column("invite_hash", LargeBinary, comment="of a token that was not used yet"),
    Column("invite_expires_at", DateTime(timezone=True)),
    Column(
        "doubtful_since",
        DateTime(timezone=True),
        comment="while it is not known whether the log has the user",
    ),
    PrimaryKeyConstraint("tenant_id", "user_id", name="logins_pkey"),
    schema=SCHEMA,
)
"""How users prove themselves: written before their event, swept where there is no event."""
Index("logins_by_invite", logins.c.invite_hash, postgresql_where=logins.c.invite_hash.is_not(None))
Index(
    "logins_doubtful",
    logins.c.doubtful_since,
    postgresql_where=logins.c.doubtful_since.is_not(None),
)

sessions = Table(
    "sessions",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("hash", LargeBinary, nullable=False, comment="of the one token that is good"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("tenant_id", "id", name="sessions_pkey"),
    schema=SCHEMA,
)
"""Who is logged in: one row from login to logout, whose token changes at every use."""
Index("sessions_by_id", sessions.c.id)
Index("sessions_by_user", sessions.c.tenant_id, sessions.c.user_id)
Index("sessions_by_end", sessions.c.expires_at)

failures = Table(
    "failures",
    metadata,
    Column("subject", LargeBinary, nullable=False, comment="digest of an account or an address"),
    Column("count", Integer, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("subject", name="failures_pkey"),
    schema=SCHEMA,
)
"""Failed attempts to prove something, counted until a moment; belongs to no tenant."""
Index("failures_by_end", failures.c.until)
