"""The page that lists all settings, made from the classes that read them.

`python -m penstock.infra.settings_table > docs/settings.md` writes it anew.
"""

import sys

from penstock.infra.settings import FILE_SUFFIX, PREFIX, settings_rows

INTRODUCTION = f"""\
# Settings

Every process is configured by its environment alone. A value can come from a file instead, as
secrets do: `{PREFIX}ADMIN_KEY{FILE_SUFFIX}=/run/secrets/admin` reads that file's text. A missing or
wrong value stops the start; the message names every variable at fault and repeats no value.

Spans are exported where the usual `OTEL_EXPORTER_OTLP_ENDPOINT` is set. This page is made from the
settings classes: `python -m penstock.infra.settings_table > docs/settings.md`.

| Variable | Read by | Default | Meaning |
|---|---|---|---|
"""
REQUIRED = "*required*"


def settings_page() -> str:
    """The page, Markdown."""
    rows = (
        f"| `{row.variable}` | {row.process} | {_default(row.default)} | {_cell(row.description)} |"
        for row in settings_rows()
    )
    return INTRODUCTION + "\n".join(rows) + "\n"


def _default(text: str) -> str:
    if not text:
        return REQUIRED
    return text if text == "(none)" else f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(settings_page())
