"""A first-in-first-out queue as a value: adding and taking answer a new queue, in O(log n)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

T = TypeVar("T")


class Queue(Struct, Generic[T], frozen=True, gc=False):
    """Items numbered from `first` up to, not including, `end`, in the order of their arrival."""

    items: Map[int, T] = Map()
    first: int = 0
    end: int = 0

    def __len__(self) -> int:
        return self.end - self.first

    @classmethod
    def of(cls, items: Iterable[T]) -> Queue[T]:
        """A queue of these, the first one at its head."""
        numbered = Map(enumerate(items))
        return cls(numbered, 0, len(numbered))

    def listed(self) -> tuple[T, ...]:
        """All items, the head first."""
        return tuple(self.items[number] for number in range(self.first, self.end))

    def kept(self, is_kept: Callable[[T], bool]) -> Queue[T]:
        """The queue without the items that are not to be kept; O(n)."""
        items = [item for item in self.listed() if is_kept(item)]
        return self if len(items) == len(self) else Queue.of(items)

    @property
    def head(self) -> T | None:
        """The item that has waited longest, None of an empty queue."""
        return self.items.get(self.first)

    def added(self, item: T) -> Queue[T]:
        """The queue with `item` at its end."""
        return replace(self, items=self.items.set(self.end, item), end=self.end + 1)

    def taken(self) -> Queue[T]:
        """The queue without its head."""
        return replace(self, items=self.items.delete(self.first), first=self.first + 1)
