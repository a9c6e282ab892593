"""The shell's weight: what a service imports by importing it."""

import subprocess
import sys

HEAVY = ("opentelemetry.sdk", "opentelemetry.exporter", "fastapi", "sqlalchemy", "psycopg", "numpy")
SHOWN = f"""
import sys
import penstock.infra.service
print(*(name for name in {HEAVY!r} if name in sys.modules))
"""


def test_what_a_service_does_not_use_is_not_loaded() -> None:
    shown = subprocess.run(
        (sys.executable, "-c", SHOWN), capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == ""
