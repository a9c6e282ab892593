"""`penstock secrets …` against a scripted far side."""

import json

from tests.unit.client.far_side import Act, FarSide, refuses, says
from tests.unit.client.test_cli import penstock

TOKEN = {"id": "s-1", "name": "token", "updatedBy": "key:1", "updatedAt": "2026-01-02T03:04:05Z"}


def test_a_secret_is_replaced_or_made_from_standard_input() -> None:
    with FarSide(says(TOKEN), refuses(404, "NOT_FOUND"), says(TOKEN, 201)) as far:
        replaced = penstock("secrets", "set", "token", far=far, typed="a value\n")
        made = penstock("secrets", "set", "token", "--json", far=far, typed="two\nlines\n")
        bodies = [json.loads(seen.body) for seen in far.seen]
        methods = [seen.method for seen in far.seen]
    assert replaced.stdout == "secret token replaced\n"
    assert json.loads(made.stdout)["name"] == "token"
    assert methods == ["PUT", "PUT", "POST"]
    assert bodies[0] == {"value": "a value"}
    assert bodies[2] == {"name": "token", "value": "two\nlines"}


def test_names_are_listed_and_secrets_removed() -> None:
    page = {"items": [TOKEN], "nextCursor": None}
    with FarSide(says(page), Act(status=204), refuses(404, "NOT_FOUND")) as far:
        listed = penstock("secrets", "list", far=far).stdout
        removed = penstock("secrets", "remove", "token", far=far)
        unknown = penstock("secrets", "remove", "other", far=far)
    assert listed.splitlines()[1].split() == ["token", "2026-01-02T03:04:05+00:00", "key:1"]
    assert removed.stdout == "secret token is removed\n"
    assert unknown.returncode == 1
