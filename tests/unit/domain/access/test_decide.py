"""Acts are recorded once, in their order."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.access.decide import ACCESS, RecordAct
from penstock.domain.access.events import AccessEvent, ActsUnrecorded


def act(number: int) -> ActsUnrecorded:
    return ActsUnrecorded(number=number, count=1, first_at=1, last_at=2)


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=8))
def test_a_recorder_that_repeats_itself_tells_nothing_twice(told: list[tuple[int, bool]]) -> None:
    history: list[AccessEvent] = []
    wanted = 0
    for more, repeats in told:
        batch = [RecordAct(act=act(wanted + index)) for index in range(1, more + 1)]
        for command in batch * (1 + repeats):
            last = reduce(ACCESS.evolve, history, ACCESS.initial)
            history += ACCESS.decide(command, last, at=0)
        wanted += more
    assert [each.number for each in history] == list(range(1, wanted + 1))
