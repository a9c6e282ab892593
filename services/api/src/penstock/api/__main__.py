"""`python -m penstock.api`: serves the HTTP door until told to stop."""

from penstock.api.app import build
from penstock.infra.service import run
from penstock.infra.settings import ApiSettings

if __name__ == "__main__":
    run("api", ApiSettings, build)
