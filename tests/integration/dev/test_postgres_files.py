"""Data that lies away from its stack: swept away only when nobody can want it any more."""

import os
import time
from pathlib import Path

import pytest

from penstock.dev import postgres_files
from penstock.dev.postgres_files import KEPT_S, LOCK, is_in_use, record_place, remove_data, sweep


@pytest.fixture
def shelter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "shelter"
    place.mkdir()
    monkeypatch.setattr(postgres_files, "SHELTER", place)
    return place


def data_of(stack: Path, shelter: Path) -> Path:
    """Data that belongs to `stack`, unused for longer than it is kept."""
    place = shelter / "data-0123456789abcdef"
    place.mkdir()
    stack.mkdir()
    record_place(stack, place)
    return place


def later() -> float:
    return time.time() + KEPT_S + 60


def test_data_of_a_deleted_stack_goes_after_a_week(tmp_path: Path, shelter: Path) -> None:
    place = data_of(tmp_path / "stack", shelter)
    (tmp_path / "stack" / "data.path").unlink()
    (shelter / "data-fedcba9876543210.new").mkdir()
    sweep(time.time())
    assert place.exists()
    sweep(later())
    assert list(shelter.iterdir()) == []


def test_data_of_a_stack_that_is_there_stays(tmp_path: Path, shelter: Path) -> None:
    place = data_of(tmp_path / "stack", shelter)
    sweep(later())
    assert place.exists()


def test_removing_leaves_neither_data_nor_record(tmp_path: Path, shelter: Path) -> None:
    data_of(tmp_path / "stack", shelter)
    remove_data(tmp_path / "stack")
    assert list(shelter.iterdir()) == []
    assert list((tmp_path / "stack").iterdir()) == []


def test_a_lock_counts_only_while_its_process_is_a_postgres(tmp_path: Path) -> None:
    assert not is_in_use(tmp_path)
    (tmp_path / LOCK).write_text(f"{os.getpid()}\n/somewhere\n")
    assert not is_in_use(tmp_path)
