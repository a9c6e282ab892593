"""The stack: what it writes down, whom it tells what, and that it keeps its parts running."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import psycopg
import pytest

from penstock.dev.errors import PortTaken, ServerFailed, SettingWrong
from penstock.dev.loopback import is_ok
from penstock.dev.options import StackOptions
from penstock.dev.ports import free_port
from penstock.dev.stack import Stack
from tests.integration.dev.stubs import COMMANDS, eventually, is_alive, stops, stub_options

SERVICES = ("api-0", "scheduler-0", "executor-0", "executor-1", "projector-0")
PROCESSES = ("nats", "postgres", *SERVICES)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
async def stack(directory: Path) -> AsyncIterator[Stack]:
    async with Stack(stub_options(directory)) as running:
        yield running


def environment(directory: Path, process: str) -> dict[str, str]:
    text = (directory / "diary" / f"{process}.json").read_text()
    return {key: str(value) for key, value in json.loads(text).items()}


def pid(stack: Stack, name: str) -> int:
    return int((stack.data_dir / "run" / f"{name}.pid").read_text())


def test_it_tells_clients_where_it_is_and_nobody_else(stack: Stack) -> None:
    file = stack.data_dir / "penstock.json"
    told = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert set(told) == {
        *("apiUrl", "natsUrl", "databaseUrl", "adminKey", "tenantId", "apiKey", "metricsUrls")
    }
    assert told["apiUrl"] == stack.api_url
    assert told["databaseUrl"].startswith("postgresql://penstock_owner:")
    assert set(told["metricsUrls"]) == set(SERVICES)
    assert all(is_ok(url) for url in told["metricsUrls"].values())


def test_every_process_has_a_pid_file(stack: Stack) -> None:
    assert {file.stem for file in (stack.data_dir / "run").iterdir()} == {*PROCESSES, "supervisor"}
    assert all(is_alive(pid(stack, name)) for name in PROCESSES)
    assert all(pid(stack, name) == stack.pid(name) for name in PROCESSES)
    assert pid(stack, "supervisor") == os.getpid()


def test_a_service_gets_what_it_needs_and_no_more(stack: Stack, directory: Path) -> None:
    executor = environment(directory, "executor-1")
    assert executor["PENSTOCK_INSTANCE"] == "executor-1"
    server = stack.nats_url.rpartition("@")[2]
    assert executor["PENSTOCK_NATS_URL"].startswith("nats://executor:")
    assert executor["PENSTOCK_NATS_URL"].endswith(f"@{server}")
    assert "PENSTOCK_ADMIN_KEY" not in executor
    assert "PENSTOCK_KEY_ENCRYPTION_KEY" not in environment(directory, "projector-0")
    api = environment(directory, "api-0")
    assert api["PENSTOCK_ADMIN_KEY"] == stack.admin_key
    scheduler = environment(directory, "scheduler-0")
    keyed = {each["PENSTOCK_KEY_ENCRYPTION_KEY"] for each in (api, scheduler, executor)}
    assert len(keyed) == 1
    assert api["PENSTOCK_DATABASE_URL"].startswith("postgresql://penstock_api:")


@pytest.mark.parametrize("service", ["api", "scheduler", "executor", "projector"])
def test_each_service_reaches_postgres_as_its_own_role(
    stack: Stack, directory: Path, service: str
) -> None:
    url = environment(directory, f"{service}-0")["PENSTOCK_DATABASE_URL"]
    assert url != stack.database_url
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row == (f"penstock_{service}",)


async def test_the_streams_are_there(stack: Stack) -> None:
    client = await nats.connect(stack.nats_url)
    names = {info.config.name for info in await client.jetstream().streams_info()}
    await client.close()
    assert {"COMMANDS", "EVENTS", "REGISTRY", "WORK", "REPORTS", "TIMERS"} <= names


@pytest.mark.parametrize("name", ["api-0", "executor-1", "nats", "postgres"])
async def test_what_dies_is_started_again_where_it_was(stack: Stack, name: str) -> None:
    before = stack.pid(name)
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        return pid(stack, name) != before and is_alive(pid(stack, name))

    await asyncio.to_thread(eventually, is_back, f"{name} is back")
    await asyncio.to_thread(eventually, lambda: answers(stack, name), f"{name} answers")


def answers(stack: Stack, name: str) -> bool:
    match name:
        case "nats":
            return asyncio.run(reaches_nats(stack.nats_url))
        case "postgres":
            return reaches_postgres(stack.database_url)
        case _:
            return is_ok(stack.metrics_urls[name])


async def reaches_nats(url: str) -> bool:
    async def silent(_: Exception) -> None:
        """Not yet."""

    client = await nats.connect(url, error_cb=silent)
    await client.close()
    return True


def reaches_postgres(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


async def test_a_restart_of_the_services_leaves_the_servers_alone(stack: Stack) -> None:
    before = {name: stack.pid(name) for name in PROCESSES}
    await stack.restart_services()
    changed = {name for name in PROCESSES if stack.pid(name) != before[name]}
    assert changed == set(SERVICES)


async def test_a_second_stack_in_the_same_directory_is_refused(
    stack: Stack, directory: Path
) -> None:
    with pytest.raises(SettingWrong, match="another stack runs"):
        await Stack(stub_options(directory)).start()
    assert is_ok(f"{stack.api_url}/readyz")


async def test_a_taken_port_is_named(stack: Stack, tmp_path: Path) -> None:
    port = int(stack.api_url.rpartition(":")[2])
    with pytest.raises(PortTaken, match=str(port)):
        await Stack(StackOptions(data_dir=tmp_path / "other", port=port)).start()
    assert not (tmp_path / "other").exists()


async def test_it_stops_in_order_and_comes_back_as_it_was(tmp_path: Path) -> None:
    first = Stack(stub_options(tmp_path, keep=True))
    await first.start()
    pids = [first.pid(name) for name in PROCESSES]
    told = json.loads((first.data_dir / "penstock.json").read_text())
    await first.stop()
    assert not any(is_alive(process) for process in pids)
    assert list((first.data_dir / "run").iterdir()) == []
    ended = stops(tmp_path)
    assert set(ended[:4]) == {"api-0", "scheduler-0", "executor-0", "executor-1"}
    assert ended.index("api-0") < ended.index("scheduler-0")
    assert ended[4:] == ["projector-0"]

    async with Stack(stub_options(tmp_path)) as second:
        again = json.loads((second.data_dir / "penstock.json").read_text())
    same = ("adminKey", "tenantId", "apiKey")
    assert {key: again[key] for key in same} == {key: told[key] for key in same}


async def test_servers_that_run_already_are_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    nats_url: str,
    make_database: object,
) -> None:
    assert callable(make_database)
    monkeypatch.setenv("PENSTOCK_NATS_URL", nats_url)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", make_database())
    monkeypatch.setenv("PENSTOCK_ADMIN_KEY", "chosen by hand")
    async with Stack(stub_options(tmp_path)) as running:
        assert running.nats_url == nats_url
        assert running.admin_key == "chosen by hand"
        assert environment(tmp_path, "executor-0")["PENSTOCK_NATS_URL"] == nats_url
        assert "PENSTOCK_ADMIN_KEY" not in environment(tmp_path, "executor-0")
        assert not (running.data_dir / "run" / "nats.pid").exists()
        assert not (running.data_dir / "run" / "postgres.pid").exists()


@pytest.mark.parametrize("code", ["1", "2"])
async def test_a_service_that_cannot_start_stops_the_start_with_its_words(
    tmp_path: Path, code: str
) -> None:
    stack = Stack(stub_options(tmp_path, STUB_FAILS="projector", STUB_CODE=code))
    with pytest.raises(ServerFailed, match="projector-0 ended with code"):
        await stack.start()
    assert list((stack.data_dir / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (StackOptions(executors=0), "executor"),
        (StackOptions(api=17), "api"),
        (StackOptions(port=70_000), "--port"),
        (StackOptions(data_dir=Path("/proc/nowhere"), port=0, commands=COMMANDS), "--data-dir"),
    ],
)
async def test_a_wrong_option_is_named(options: StackOptions, named: str) -> None:
    with pytest.raises(SettingWrong, match=named):
        await Stack(options).start()


async def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENSTOCK_EXECUTOR_CONCURRENCY", "many")
    monkeypatch.setenv("PENSTOCK_KEY_ENCRYPTION_KEY", "short")
    with pytest.raises(SettingWrong) as wrong:
        await Stack(StackOptions(data_dir=tmp_path, port=free_port())).start()
    assert "PENSTOCK_EXECUTOR_CONCURRENCY" in str(wrong.value)
    assert "PENSTOCK_KEY_ENCRYPTION_KEY" in str(wrong.value)
