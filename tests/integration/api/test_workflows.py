"""Workflows and their versions, judged, made, changed, pinned, deleted."""

from typing import Any

from httpx import AsyncClient

from tests.integration.api.houses import House, chain


async def test_a_workflow_is_made_with_its_first_version(tenant: AsyncClient) -> None:
    made = await tenant.post("/api/workflows", json={"definition": chain("a", name="My Order!")})
    body = made.json()
    assert made.status_code == 201, made.text
    assert (body["key"], body["name"], body["version"]) == ("my-order", "My Order!", 1)
    assert body["definition"]["nodes"] == [{"id": "a", "type": "noop"}]
    assert made.headers["location"] == f"/api/workflows/{body['id']}"
    for ref in (body["id"], body["key"]):
        read = await tenant.get(f"/api/workflows/{ref}")
        assert read.headers["etag"] == made.headers["etag"]
        assert read.json() == body


async def test_a_name_gives_a_free_key_and_an_explicit_one_is_taken_once(
    tenant: AsyncClient,
) -> None:
    keys = [
        (await tenant.post("/api/workflows", json={"name": "Same"})).json()["key"] for _ in range(3)
    ]
    assert keys == ["same", "same-2", "same-3"]
    assert (await tenant.post("/api/workflows", json={"definition": chain("a", id="mine")})).json()[
        "key"
    ] == "mine"
    taken = await tenant.post("/api/workflows", json={"definition": chain("a", id="mine")})
    assert (taken.status_code, taken.json()["code"]) == (409, "KEY_TAKEN")


async def test_without_a_definition_there_is_nothing_to_run(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"name": "later"})).json()
    assert (made["version"], made["definition"]) == (None, None)
    refused = await tenant.post(f"/api/workflows/{made['id']}/execute", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "NO_VERSION")


async def test_a_name_is_needed(tenant: AsyncClient) -> None:
    refused = await tenant.post("/api/workflows", json={})
    assert refused.status_code == 400
    assert refused.json()["details"][0]["pointer"] == "/name"


async def test_a_put_publishes_a_new_version_and_does_not_move_a_pin(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    at = f"/api/workflows/{made['id']}"
    assert (await tenant.put(f"{at}/versions/1/pin")).json()["pinnedVersion"] == 1
    put = await tenant.put(at, json={"name": "new name", "definition": chain("a", "b")})
    assert put.status_code == 200, put.text
    assert (put.json()["version"], put.json()["pinnedVersion"]) == (2, 1)
    run = (await tenant.post(f"{at}/execute?mode=sync", json={})).json()
    assert (run["version"], run["workflowName"]) == (1, "new name")
    assert (await tenant.delete(f"{at}/pin")).json()["pinnedVersion"] is None
    assert (await tenant.post(f"{at}/execute?mode=sync", json={})).json()["version"] == 2
    for asked in (1, "1", (await tenant.get(f"{at}/versions/1")).json()["id"]):
        run = await tenant.post(f"{at}/execute?mode=sync", json={"version": asked})
        assert run.json()["version"] == 1, run.text


async def test_a_draft_runs_once_it_is_published(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"name": "drafted"})).json()
    at = f"/api/workflows/{made['id']}"
    draft = await tenant.post(f"{at}/versions", json={"definition": chain("a")})
    assert (draft.status_code, draft.json()["status"]) == (201, "draft")
    refused = await tenant.post(f"{at}/execute", json={"version": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_PUBLISHED")
    assert (await tenant.put(f"{at}/versions/1/pin")).status_code == 409
    assert (await tenant.post(f"{at}/versions/1/publish")).json()["version"] == 1
    assert (await tenant.post(f"{at}/execute?mode=sync")).json()["status"] == "succeeded"
    listed = (await tenant.get(f"{at}/versions")).json()["items"]
    assert [(each["number"], each["status"]) for each in listed] == [(1, "published")]
    assert (await tenant.get(f"{at}/versions/7")).status_code == 404
    assert (await tenant.post(f"{at}/execute", json={"version": 7})).status_code == 404


async def test_versions_come_in_pages(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    at = f"/api/workflows/{made['id']}"
    for _ in range(2):
        await tenant.put(at, json={"definition": chain("a", "b")})
    page = (await tenant.get(f"{at}/versions?limit=2")).json()
    rest = (await tenant.get(f"{at}/versions?limit=2&cursor={page['nextCursor']}")).json()
    assert [each["number"] for each in page["items"] + rest["items"]] == [3, 2, 1]
    assert rest["nextCursor"] is None


async def test_a_lost_race_is_told(tenant: AsyncClient) -> None:
    made = await tenant.post("/api/workflows", json={"name": "raced"})
    at, etag = f"/api/workflows/{made.json()['id']}", made.headers["etag"]
    first = await tenant.put(at, json={"name": "won"}, headers={"If-Match": etag})
    assert first.status_code == 200
    second = await tenant.put(at, json={"name": "lost"}, headers={"If-Match": etag})
    assert (second.status_code, second.json()["code"]) == (412, "PRECONDITION_FAILED")
    assert (await tenant.delete(at, headers={"If-Match": etag})).status_code == 412
    known = first.headers["etag"]
    assert (await tenant.get(at, headers={"If-None-Match": known})).status_code == 304
    assert (await tenant.put(at, json={"name": "any"}, headers={"If-Match": "*"})).is_success


async def test_a_deleted_workflow_runs_no_more_and_its_runs_stay(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    at = f"/api/workflows/{made['id']}"
    run = (await tenant.post(f"{at}/execute?mode=sync", json={})).json()
    deleted = await tenant.delete(at)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await tenant.get(at)).status_code == 404
    assert (await tenant.post(f"{at}/execute", json={})).status_code == 404
    assert (await tenant.get(f"/api/runs/{run['id']}")).json() == run
    listed = (await tenant.get(f"{at}/runs")).json()["items"]
    assert [each["id"] for each in listed] == [run["id"]]
    assert (await tenant.get("/api/workflows")).json()["items"] == []


async def test_a_judgement_names_every_problem_and_lays_out_the_plan(tenant: AsyncClient) -> None:
    good = await tenant.post("/api/workflows/validate", json={"definition": chain("a", "b", "c")})
    assert good.json() == {"valid": True, "problems": [], "plan": [["a"], ["b"], ["c"]]}
    wrong = {"name": "w", "nodes": [{"id": "a", "type": "nope"}, {"id": "a", "type": "noop"}]}
    bad = (await tenant.post("/api/workflows/validate", json={"definition": wrong})).json()
    codes = {(each["pointer"], each["code"]) for each in bad["problems"]}
    assert (bad["valid"], bad["plan"]) == (False, [])
    assert ("/nodes/0/type", "UNKNOWN_NODE_TYPE") in codes
    assert ("/nodes/1/id", "DUPLICATE_NODE_ID") in codes
    refused = await tenant.post("/api/workflows", json={"definition": wrong})
    assert refused.status_code == 400
    assert {f"/definition{pointer}" for pointer, _ in codes} == {
        each["pointer"] for each in refused.json()["details"]
    }


async def test_a_definition_too_large_for_an_event_is_kept_as_a_blob(tenant: AsyncClient) -> None:
    ids = [f"node-{number:05}" for number in range(2000)]
    made = await tenant.post("/api/workflows", json={"definition": chain(*ids)})
    assert made.status_code == 201, made.text[:500]
    read = (await tenant.get(f"/api/workflows/{made.json()['id']}")).json()
    assert len(read["definition"]["nodes"]) == 2000


async def test_the_types_of_nodes_are_listed(tenant: AsyncClient) -> None:
    listed = {each["name"]: each for each in (await tenant.get("/api/step-types")).json()}
    assert listed["http_request"]["aliases"] == ["http"]
    assert (listed["noop"]["available"], listed["plugin"]["available"]) == (True, False)


async def test_a_repeated_request_makes_one_workflow(house: House, tenant: AsyncClient) -> None:
    bodies = ({"name": "twice"}, {"definition": chain("a", id="explicit")})
    for number, body in enumerate(bodies):
        headers = {"Idempotency-Key": f"w-{number}"}
        first = await tenant.post("/api/workflows", json=body, headers=headers)
        at = f"/api/workflows/{first.json()['id']}"
        await tenant.put(at, json={"name": "renamed", "definition": chain("a", "b")})
        again = await tenant.post("/api/workflows", json=body, headers=headers)
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["etag"] == first.headers["etag"]
        assert (await tenant.delete(at)).status_code == 204
        again = await tenant.post("/api/workflows", json=body, headers=headers)
        assert (again.status_code, again.json()) == (201, first.json())
        assert (await tenant.get(at)).status_code == 404


async def test_an_idempotency_key_stands_for_one_request(tenant: AsyncClient) -> None:
    headers = {"Idempotency-Key": "one"}
    made = await tenant.post("/api/workflows", json={"name": "one"}, headers=headers)
    for other in ({"name": "other"}, {"definition": chain("a", id="other")}):
        refused = await tenant.post("/api/workflows", json=other, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert len((await tenant.get("/api/workflows")).json()["items"]) == 1
    at = f"/api/workflows/{made.json()['id']}/versions"
    draft = {"definition": chain("a")}
    first = await tenant.post(at, json=draft, headers=headers)
    assert first.status_code == 201, first.text
    assert (await tenant.post(f"{at}/1/publish")).status_code == 200
    again = await tenant.post(at, json=draft, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    refused = await tenant.post(at, json={"definition": chain("b")}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert len((await tenant.get(at)).json()["items"]) == 1


async def test_an_explicit_key_lives_again_after_a_deletion(tenant: AsyncClient) -> None:
    body = {"definition": chain("a", id="phoenix", name="First")}
    made = (await tenant.post("/api/workflows", json=body)).json()
    at = f"/api/workflows/{made['id']}"
    run = (await tenant.post(f"{at}/execute?mode=sync")).json()
    assert (await tenant.put(f"{at}/versions/1/pin")).status_code == 200
    assert (await tenant.delete(at)).status_code == 204
    again = await tenant.post(
        "/api/workflows", json={"definition": chain("a", "b", id="phoenix", name="Second")}
    )
    assert again.status_code == 201, again.text
    assert again.json()["id"] == made["id"]
    shown = {name: again.json()[name] for name in ("name", "version", "pinnedVersion")}
    assert shown == {"name": "Second", "version": 2, "pinnedVersion": None}
    assert (await tenant.get(at)).json() == again.json()
    listed = (await tenant.get(f"{at}/versions")).json()["items"]
    assert [(each["number"], each["status"]) for each in listed] == [(2, "published"), (1, "draft")]
    assert (await tenant.post(f"{at}/execute", json={"version": 1})).status_code == 409
    second = (await tenant.post(f"{at}/execute?mode=sync")).json()
    assert (second["version"], second["status"]) == (2, "succeeded")
    runs = (await tenant.get(f"{at}/runs")).json()["items"]
    assert [each["id"] for each in runs] == [second["id"], run["id"]]
    assert (await tenant.post(f"{at}/versions/1/publish")).json()["version"] == 2


async def test_a_definition_renames_its_workflow(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a", name="One")})).json()
    at = f"/api/workflows/{made['id']}"
    put = (await tenant.put(at, json={"definition": chain("a", name="Two")})).json()
    assert (put["name"], put["key"], put["definition"]["name"]) == ("Two", "one", "Two")
    both = (await tenant.put(at, json={"name": "X", "definition": chain("a", name="Three")})).json()
    assert (both["name"], both["definition"]["name"]) == ("X", "Three")
    nameless = {name: value for name, value in chain("a").items() if name != "name"}
    kept = (await tenant.put(at, json={"definition": nameless})).json()
    assert (kept["name"], kept["definition"]["name"]) == ("X", "X")


async def test_a_definition_of_another_workflow_is_refused(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a", id="mine")})).json()
    at = f"/api/workflows/{made['id']}"
    other = {"definition": chain("a", id="other")}
    for refused in (
        await tenant.put(at, json=other),
        await tenant.post(f"{at}/versions", json=other),
    ):
        assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION_ERROR")
        (fault,) = refused.json()["details"]
        assert (fault["pointer"], fault["code"]) == ("/definition/id", "KEY_MISMATCH")
    for own in ("mine", made["id"]):
        assert (await tenant.put(at, json={"definition": chain("a", id=own)})).status_code == 200


async def test_a_write_may_name_several_revisions(tenant: AsyncClient) -> None:
    made = await tenant.post("/api/workflows", json={"definition": chain("a")})
    at, etag = f"/api/workflows/{made.json()['id']}", made.headers["etag"]
    for lost in (f"W/{etag}", '"7"', '"x", "y"'):
        refused = await tenant.put(at, json={"name": "n"}, headers={"If-Match": lost})
        assert (refused.status_code, refused.json()["code"]) == (412, "PRECONDITION_FAILED")
        assert (await tenant.put(f"{at}/versions/1/pin", headers={"If-Match": lost})).is_error
    listed = {"If-Match": f'"99", {etag}'}
    assert (await tenant.put(at, json={"name": "n"}, headers=listed)).status_code == 200
    wrong = await tenant.delete(at, headers={"If-Match": "3"})
    assert (wrong.status_code, wrong.json()["details"][0]["pointer"]) == (400, "/header/If-Match")


async def test_a_bad_version_is_told_at_its_place(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    bads: list[Any] = [0, -1, True, 1.5, [], {}, "", "x" * 300]
    for bad in bads:
        refused = await tenant.post(f"/api/workflows/{made['id']}/execute", json={"version": bad})
        assert refused.status_code == 400, refused.text
        assert [each["pointer"] for each in refused.json()["details"]] == ["/version"]
