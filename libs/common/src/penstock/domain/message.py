"""The shape that all commands and events share: frozen, tagged by name, compact on the wire."""

from msgspec import Struct


class Message(
    Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    tag=True,
    tag_field="type",
    rename="camel",
    omit_defaults=True,
):
    """Something that is asked or has happened; its name is the member `type` of its JSON."""
