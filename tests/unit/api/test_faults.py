"""A fault of ours is told in the shape of all errors, and tells nothing of itself."""

import httpx
from fastapi import FastAPI

from penstock.api.errors import HANDLED, handle


async def test_a_fault_of_ours_is_a_problem_without_details() -> None:
    app = FastAPI()
    for error in HANDLED:
        app.add_exception_handler(error, handle)

    @app.get("/")
    async def broken() -> None:
        raise ZeroDivisionError("the secret of the house")

    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answered = await client.get("/")
    assert answered.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert answered.headers["content-type"] == "application/problem+json"
    assert answered.json()["code"] == "INTERNAL_ERROR"
    assert "secret" not in answered.text
