"""Requests that a connection signs are taken by a real server that speaks S3, others are not."""

from collections.abc import Iterator

import pytest

from penstock.executor.connections import Connection
from penstock.executor.nodes import http_request
from penstock.executor.outcome import StepFault
from tests.integration.executor.connected import given, said, step, transport
from tests.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server

KEYS = ("plain.txt", "a folder/b+c (d)$é~'*.json", "x=1&y=2/ü")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with a bucket."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


def bucket(s3: S3Server, secret: str = SECRET_KEY) -> Connection:
    """A connection to its bucket."""
    config = {"endpoint": s3.url, "bucket": BUCKET, "accessKeyId": ACCESS_KEY}
    return Connection("s3", config, {"secretAccessKey": secret}, "box")


async def test_objects_are_written_read_and_listed(s3: S3Server) -> None:
    way = transport("127.0.0.1")
    context = step(bucket(s3), way)
    for key in KEYS:
        url = f"{s3.url}/{BUCKET}/{key}"
        put = {"method": "PUT", "url": url, "body": {"key": key}}
        assert said(await http_request.run(context, put, given()))["status"] == 200
        got = said(await http_request.run(context, {"url": url}, given()))
        assert got["body"] == {"key": key}
    query = {"list-type": "2", "prefix": "a folder/b+c (d)$"}
    listed = {"url": f"{s3.url}/{BUCKET}", "query": query}
    found = said(await http_request.run(context, listed, given()))["body"]
    assert "b+c (d)" in found
    assert "plain.txt" not in found
    await way.close()


async def test_another_key_opens_nothing(s3: S3Server) -> None:
    way = transport("127.0.0.1")
    stranger, wanted = step(bucket(s3, "another-secret"), way), f"{s3.url}/{BUCKET}/plain.txt"
    with pytest.raises(StepFault) as fault:
        await http_request.run(stranger, {"url": wanted}, given())
    assert (fault.value.code, fault.value.retryable) == ("HTTP_STATUS", False)
    assert "'status': 403" in str(fault.value.details)
    await way.close()
