"""Where the registry's messages stand among the events: the one order of a tenant's two logs."""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Uuid

from penstock.infra.postgres.vault import metadata

registry_places = Table(
    "registry_places",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("events_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "seq", name="registry_places_pkey"),
    schema="penstock",
)
"""A message of the registry comes right after the event `events_seq`."""
Index("registry_places_in_order", *registry_places.c["tenant_id", "events_seq", "seq"])
