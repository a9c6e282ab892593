"""`python -m penstock.scheduler`: one scheduler replica."""

from penstock.infra.service import run
from penstock.infra.settings import SchedulerSettings
from penstock.scheduler.app import build

if __name__ == "__main__":
    run("scheduler", SchedulerSettings, build)
