"""The catalogue contradicts neither itself nor the upcasters."""

import pytest
from msgspec import Struct

from penstock.domain.run.events import RunEvent
from penstock.messages.catalogue import EVENT_TYPES, EVENTS, RUN, Catalogue, CatalogueError
from penstock.messages.upcasters import checked


class Made(Struct, frozen=True, tag=True, tag_field="type"):
    pass


class MadeAgain(Struct, frozen=True, tag="Made", tag_field="type"):
    pass


class Nameless(Struct, frozen=True):
    pass


def test_every_event_is_in_the_catalogue_by_name_and_version() -> None:
    assert {each.type for each in EVENT_TYPES.of_kind(RUN)} == set(RunEvent.__args__)
    assert EVENT_TYPES.types[RUN, "RunStarted"].version == 1
    assert {each.kind for each in EVENT_TYPES.types.values()} == set(EVENTS)


def test_two_types_of_one_name_are_refused() -> None:
    with pytest.raises(CatalogueError, match="two types named Made"):
        Catalogue({"thing": Made | MadeAgain}, changed={}, number=1)


def test_the_same_name_may_belong_to_two_kinds() -> None:
    both = Catalogue({"thing": Made, "other": MadeAgain}, changed={}, number=1)
    assert len(both.types) == 2


def test_a_type_without_a_name_is_refused() -> None:
    with pytest.raises(CatalogueError, match="no name"):
        Catalogue({"thing": Nameless}, changed={}, number=1)


@pytest.mark.parametrize("changed", [(1,), (3, 2), (2, 2), (4,)])
def test_impossible_changes_are_refused(changed: tuple[int, ...]) -> None:
    with pytest.raises(CatalogueError, match="impossible"):
        Catalogue({"thing": Made}, changed={("thing", "Made"): changed}, number=3)


def test_a_change_of_nothing_is_refused() -> None:
    with pytest.raises(CatalogueError, match="not in the catalogue"):
        Catalogue({"thing": Made}, changed={("thing", "Lost"): (2,)}, number=2)


def test_versions_follow_the_numbers() -> None:
    made = Catalogue({"thing": Made}, changed={("thing", "Made"): (3,)}, number=4)
    type_ = made.types["thing", "Made"]
    assert [type_.version_under(number) for number in (1, 2, 3, 4)] == [1, 1, 2, 2]
    assert made.unchanged_since("thing") == 3


def test_an_upcaster_too_few_or_too_many_is_refused() -> None:
    catalogue = Catalogue({"thing": Made}, changed={("thing", "Made"): (2,)}, number=2)
    step = {("thing", "Made", 1): dict}
    assert checked(step, catalogue) == step
    with pytest.raises(CatalogueError):
        checked({}, catalogue)
    with pytest.raises(CatalogueError):
        checked({**step, ("thing", "Made", 2): dict}, catalogue)
