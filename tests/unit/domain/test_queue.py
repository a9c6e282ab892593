"""A queue as a value."""

from penstock.domain.queue import Queue


def test_what_is_not_kept_leaves_without_disturbing_the_order() -> None:
    queue = Queue.of("abcd").taken()
    assert queue.kept(lambda item: item != "c").listed() == ("b", "d")
    assert queue.kept(lambda item: item != "x") is queue
