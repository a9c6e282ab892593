"""Execute, runs, steps, cancel, through the whole stack."""

from httpx import AsyncClient

from tests.integration.api.houses import chain


async def test_a_run_goes_from_a_request_to_its_output(tenant: AsyncClient) -> None:
    made = await tenant.post("/api/workflows", json={"definition": chain("a", "b")})
    assert made.status_code == 201, made.text
    done = await tenant.post(
        f"/api/workflows/{made.json()['key']}/execute?mode=sync", json={"input": {"n": 1}}
    )
    assert done.status_code == 200, done.text
    run = done.json()
    assert (run["status"], run["output"]) == ("succeeded", {"n": 1})
    print(done.text)
