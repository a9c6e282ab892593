"""The shell of a service, as a process against a real NATS server that comes and goes."""

import json
import signal
import socket
import time
from contextlib import suppress

import nats as client
import pytest

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats.users import OWNER
from tests.integration.service.conftest import WITHIN_S, Start, until

SUBJECT = "penstock.ctl.cancel.acme.r-1"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


async def ask(url: str, body: bytes, seconds: float = 5.0) -> tuple[bytes, dict[str, str]]:
    """The answer of whoever subscribes, and its headers."""
    connection = await client.connect(url)
    try:
        answer = await connection.request(
            SUBJECT, body, timeout=seconds, headers={"traceparent": TRACEPARENT}
        )
        return answer.data, dict(answer.headers or {})
    finally:
        await connection.close()


def test_it_waits_for_nats_and_then_works(start: Start, nats: NatsServer) -> None:
    service = start()
    until(lambda: service.get("/readyz")[0] == 503, "not ready")
    assert service.get("/livez")[0] == 200
    nats.start()
    service.until_ready()
    status, body = service.get("/readyz")
    checks = {"nats": True, "started": True, "streams": True}
    assert (status, json.loads(body)) == (200, {"status": "ok", "checks": checks})
    assert service.stop() == 0
    assert [line["code"] for line in service.said("stopped")] == [0]
    assert service.said("finished")


async def test_it_outlives_a_restart_of_nats(start: Start, nats: NatsServer) -> None:
    nats.start()
    service = start().until_ready()
    assert (await ask(nats.url, b"hello"))[0] == b"heard"
    nats.kill()
    until(lambda: service.get("/readyz")[0] == 503, "not ready while NATS is away")
    nats.start()
    service.until_ready()
    assert (await ask(nats.url, b"hello"))[0] == b"heard"
    assert "\npenstock_nats_reconnects_total 1.0\n" in service.get("/metrics")[1]
    assert service.stop() == 0


def test_it_stops_in_order_while_nats_is_away(start: Start, nats: NatsServer) -> None:
    nats.start()
    service = start().until_ready()
    nats.kill()
    service.until_said("nats disconnected")
    assert service.stop() == 0
    assert service.said("finished")


def test_it_stops_before_it_ever_started(start: Start) -> None:
    service = start()
    until(lambda: service.get("/livez")[0] == 200, "alive")
    assert service.stop() == 0


def test_a_wrong_login_is_tried_again_for_ever(
    start: Start, tmp_path: object, nats: NatsServer
) -> None:
    locked = NatsServer(nats.directory, port=nats.port, passwords={OWNER: "right"})
    locked.start()
    try:
        service = start(PENSTOCK_NATS_URL=f"nats://penstock:wrong@127.0.0.1:{nats.port}")
        service.until_said("could not connect to nats yet")
        until(lambda: len(service.said("could not connect to nats yet")) > 2, "tried again")
        assert service.get("/readyz")[0] == 503
        assert "wrong" not in service.log.read_text()
        assert service.stop() == 0
    finally:
        locked.stop()


@pytest.mark.parametrize("behaviour", ["build fails", "start fails once"])
def test_what_fails_at_the_start_is_tried_again(
    start: Start, nats: NatsServer, behaviour: str
) -> None:
    nats.start()
    service = start(behaviour).until_ready()
    assert len(service.said("begun")) == 1


def test_a_refused_start_ends_the_process(start: Start, nats: NatsServer) -> None:
    nats.start()
    service = start("build refused")
    assert service.process.wait(WITHIN_S) == 1
    assert "restore it from the archive" in service.said("start failed")[0]["error"]


@pytest.mark.parametrize("behaviour", ["check hangs", "check fails"])
def test_a_check_that_fails_or_hangs_is_not_ready(
    start: Start, nats: NatsServer, behaviour: str
) -> None:
    nats.start()
    service = start(behaviour)
    service.until_said("started")
    assert service.get("/readyz")[0] == 503
    assert service.get("/livez")[0] == 200


@pytest.mark.parametrize("behaviour", ["stop hangs", "stop blocks"])
def test_a_stop_that_hangs_is_cut_short(start: Start, nats: NatsServer, behaviour: str) -> None:
    nats.start()
    service = start(behaviour, PENSTOCK_GRACEFUL_TIMEOUT_S="1").until_ready()
    assert service.stop() == 1


def test_a_second_signal_ends_it_at_once(start: Start, nats: NatsServer) -> None:
    nats.start()
    service = start("stop hangs", PENSTOCK_GRACEFUL_TIMEOUT_S="60").until_ready()
    service.process.send_signal(signal.SIGINT)
    service.until_said("finishing")
    service.process.send_signal(signal.SIGTERM)  # the supervisor's, for the same Ctrl-C
    time.sleep(1.5)
    assert service.process.poll() is None
    assert service.stop() == 128 + signal.SIGTERM


async def test_a_closed_connection_ends_the_process(start: Start, nats: NatsServer) -> None:
    nats.start()
    service = start().until_ready()
    with suppress(client.errors.TimeoutError):
        await ask(nats.url, b"close", 0.5)
    assert service.process.wait(WITHIN_S) == 70


async def test_a_service_may_end_its_process(start: Start, nats: NatsServer) -> None:
    nats.start()
    service = start().until_ready()
    await ask(nats.url, b"end")
    assert service.process.wait(WITHIN_S) == 1
    assert service.said("cannot go on")[0]["reason"] == "told so"
    assert service.said("finished")


async def test_a_refusal_is_answered_and_a_fault_is_logged(start: Start, nats: NatsServer) -> None:
    nats.start()
    service = start().until_ready()
    refused = json.loads((await ask(nats.url, b"refuse"))[0])
    assert refused["refusal"]["code"] == "NOT_FOUND"
    with pytest.raises(client.errors.TimeoutError):
        await ask(nats.url, b"fail", 0.5)
    fault = service.until_said("handler failed")
    assert "a fault of ours" in fault["exception"]
    assert (fault["tenant"], fault["run_id"], fault["traceId"]) == ("acme", "r-1", TRACE)
    assert len([line for line in service.lines() if line["level"] == "error"]) == 1
    counted = 'penstock_nats_handler_errors_total{handler="penstock.ctl.cancel.>"} 1.0'
    assert counted in service.get("/metrics")[1]
    assert (await ask(nats.url, b"hello"))[0] == b"heard"


async def test_a_trace_is_handed_on_with_the_answer(start: Start, nats: NatsServer) -> None:
    nats.start()
    service = start().until_ready()
    _, headers = await ask(nats.url, b"hello")
    assert headers["traceparent"].split("-")[1] == TRACE
    assert headers["traceparent"] != TRACEPARENT
    assert service.until_said("heard")["traceId"] == TRACE


def test_a_taken_port_is_named(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = start(PENSTOCK_METRICS_PORT=str(taken.getsockname()[1]))
        assert service.process.wait(WITHIN_S) == 1
    assert "PENSTOCK_METRICS_PORT" in service.log.read_text()


def test_wrong_settings_are_named(start: Start) -> None:
    service = start(PENSTOCK_EXECUTOR_CONCURRENCY="many")
    assert service.process.wait(WITHIN_S) == 2
    assert "PENSTOCK_EXECUTOR_CONCURRENCY" in service.log.read_text()
