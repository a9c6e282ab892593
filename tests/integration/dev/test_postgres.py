"""The embedded Postgres: closed to strangers, owned by no superuser, restartable in place."""

import os
from pathlib import Path

import psycopg
import pytest

from penstock.dev.errors import ServerFailed
from penstock.dev.postgres import Postgres


def test_the_owner_makes_tables_and_roles_without_being_a_superuser(
    private_postgres: Postgres,
) -> None:
    with psycopg.connect(private_postgres.url) as connection:
        assert connection.info.parameter_status("is_superuser") == "off"
        connection.execute("CREATE TABLE things (id int)")
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'r' NOSUPERUSER NOBYPASSRLS")
        connection.execute("ALTER ROLE reader PASSWORD 'other'")
        connection.execute("GRANT SELECT ON things TO reader")
    url = private_postgres.url.replace("penstock_owner:", "reader:", 1)
    login = psycopg.conninfo.conninfo_to_dict(url) | {"password": "other"}
    with psycopg.connect(**login) as connection:  # type: ignore[arg-type]
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (0,)


def test_it_is_postgres_18_with_scram_and_without_a_socket_file(
    private_postgres: Postgres,
) -> None:
    with psycopg.connect(private_postgres.superuser_url()) as connection:
        shown = connection.execute(
            "SELECT current_setting('server_version'), current_setting('unix_socket_directories')"
        ).fetchone()
        stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin")
        assert all(row[0].startswith("SCRAM-SHA-256$") for row in stored)
    assert shown is not None
    assert shown[0].startswith("18.")
    assert shown[1] == ""


def test_a_wrong_password_is_refused(private_postgres: Postgres) -> None:
    host = f"127.0.0.1:{private_postgres.port}"
    for login in ("postgres:guess", "penstock_owner:guess", "postgres"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"postgresql://{login}@{host}/postgres")


def test_passwords_and_log_are_ours_alone(private_postgres: Postgres) -> None:
    for name in ("postgres.password", "penstock_owner.password", "postgres.log"):
        assert (private_postgres.directory / name).stat().st_mode & 0o077 == 0


def test_it_comes_back_after_a_kill_with_what_was_committed(private_postgres: Postgres) -> None:
    with psycopg.connect(private_postgres.url) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    url, pid = private_postgres.url, private_postgres.pid
    for _ in range(3):
        private_postgres.kill()
        private_postgres.start()
    assert private_postgres.url == url
    assert private_postgres.pid != pid
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_the_lock_of_a_dead_server_whose_id_was_given_away_is_forgotten(
    private_postgres: Postgres,
) -> None:
    data = Path(private_postgres.launch.argv[2])
    lock = (data / "postmaster.pid").read_text()
    private_postgres.stop()
    other = "\n".join([str(os.getppid()), *lock.split("\n")[1:]])
    (data / "postmaster.pid").write_text(other)
    private_postgres.start()
    assert private_postgres.is_ready()


def test_data_that_is_gone_from_its_recorded_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data.path").write_text("/var/tmp/penstock-nowhere\n")
    with pytest.raises(ServerFailed, match="penstock-nowhere"):
        Postgres(tmp_path).prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends its servers another account")
def test_root_does_not_run_it_itself(private_postgres: Postgres) -> None:
    assert Path(f"/proc/{private_postgres.pid}").stat().st_uid != 0
