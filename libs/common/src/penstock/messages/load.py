"""What a scheduler tells of its load: how many steps of which tenants are out, or wait."""

from msgspec import Struct


class Steps(Struct, frozen=True, kw_only=True, array_like=True):
    """Steps of one tenant. out: with executors. waiting: for room there."""

    out: int = 0
    waiting: int = 0


class Load(Struct, frozen=True, kw_only=True):
    """What one scheduler has. tenants: those that have any; the others are as good as idle."""

    instance: str
    tenants: dict[str, Steps] = {}
