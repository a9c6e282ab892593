"""The settings page: what is committed is what the classes say."""

from pathlib import Path

from penstock.infra.settings import settings_rows
from penstock.infra.settings_table import settings_page

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_committed_page_is_current() -> None:
    again = "python -m penstock.infra.settings_table > docs/settings.md"
    assert PAGE.read_text() == settings_page(), f"write it anew: {again}"


def test_every_variable_has_a_row_of_four_cells() -> None:
    table = [line for line in settings_page().splitlines() if line.startswith("| `PENSTOCK_")]
    assert len(table) == len(settings_rows())
    assert all(line.replace("\\|", "").count("|") == 5 for line in table)
