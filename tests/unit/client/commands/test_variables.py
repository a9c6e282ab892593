"""`penstock variables …` against a scripted far side."""

import json

from tests.unit.client.far_side import Act, FarSide, refuses, says
from tests.unit.client.test_cli import penstock

REGION = {"id": "v-1", "name": "region", "value": {"name": "eu"}, "description": "where"}


def test_a_variable_is_changed_or_made() -> None:
    with FarSide(says(REGION), refuses(404, "NOT_FOUND"), says(REGION, 201)) as far:
        changed = penstock("variables", "set", "region", '{"name": "eu"}', far=far)
        made = penstock("variables", "set", "region", "eu", "--description", "where", far=far)
        bodies = [json.loads(seen.body) for seen in far.seen]
        methods = [seen.method for seen in far.seen]
    assert (changed.stdout, made.stdout) == (
        "variable region changed\n",
        "variable region created\n",
    )
    assert methods == ["PUT", "PUT", "POST"]
    assert bodies[0] == {"value": {"name": "eu"}, "description": ""}
    assert bodies[2] == {"name": "region", "value": "eu", "description": "where"}


def test_variables_are_listed_shown_and_deleted() -> None:
    page = {"items": [REGION], "nextCursor": None}
    gone = Act(status=204)
    with FarSide(says(page), says(REGION), says(REGION), gone, refuses(404, "NOT_FOUND")) as far:
        listed = penstock("variables", "list", far=far).stdout
        got = penstock("variables", "get", "region", far=far).stdout
        as_json = penstock("variables", "get", "region", "--json", far=far).stdout
        deleted = penstock("variables", "delete", "region", "--json", far=far)
        unknown = penstock("variables", "get", "other", far=far)
    assert listed.splitlines()[1].split() == ["region", '{"name":', '"eu"}', "where"]
    assert json.loads(got) == REGION["value"]
    assert json.loads(as_json)["name"] == "region"
    assert json.loads(deleted.stdout) == {"variable": "region", "deleted": True}
    assert unknown.returncode == 1
