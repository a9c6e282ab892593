"""The input of a run, from the command line."""

from pathlib import Path

import pytest
from msgspec import UNSET

from penstock.client.commands.failure import WrongUse
from penstock.client.commands.running import input_of


@pytest.mark.parametrize(
    ("pairs", "value"),
    [
        ([], UNSET),
        (["name=Ada"], {"name": "Ada"}),
        (
            ["n=3", "flag=true", 'list=[1, "a"]', "none=null"],
            {"n": 3, "flag": True, "list": [1, "a"], "none": None},
        ),
        (["url=http://x/?a=b"], {"url": "http://x/?a=b"}),
        (['id="42"', "empty="], {"id": "42", "empty": ""}),
    ],
)
def test_pairs_make_an_object(pairs: list[str], value: object) -> None:
    assert input_of(pairs, None) == value


def test_input_is_any_json() -> None:
    assert input_of([], "[1, null]") == [1, None]
    assert input_of([], "null") is None


def test_input_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text('{"a": 1}')
    assert input_of([], f"@{path}") == {"a": 1}


@pytest.mark.parametrize(
    ("pairs", "text"),
    [(["a"], None), (["=b"], None), ([], "{"), (["a=b"], "{}"), ([], "@/no/such/file")],
)
def test_what_makes_no_sense_is_wrong_use(pairs: list[str], text: str | None) -> None:
    with pytest.raises(WrongUse):
        input_of(pairs, text)
