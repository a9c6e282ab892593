"""`python -m penstock.executor`: one executor, configured by the environment."""

from penstock.executor.app import build, subscribers
from penstock.infra.service import run
from penstock.infra.settings import ExecutorSettings

if __name__ == "__main__":
    run("executor", ExecutorSettings, build, subscribers)
