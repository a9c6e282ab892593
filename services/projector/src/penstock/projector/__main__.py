"""`python -m penstock.projector`: one projector, configured by the environment."""

from penstock.infra.service import run
from penstock.infra.settings import ProjectorSettings
from penstock.projector.app import build

if __name__ == "__main__":
    run("projector", ProjectorSettings, build)
