"""How steps are named: by the way to them.

A step of the drawing itself has its node's id, `price`. One in the body of a loop has the loop's
path, the number of the iteration and its node's id, `loop.3.inner`; the part before it, `loop.3`,
is its scope. What has to be evaluated on behalf of a step where no executor holds it is a step of
its own: `price@edges`. Node ids hold neither a dot nor an at sign.
"""

from enum import StrEnum
from typing import Final

ROOT: Final = ""
"""The scope of the drawing itself."""


class Evaluation(StrEnum):
    """What an evaluation is for.

    EDGES: the EXPRESSION edges of a step that the scheduler has ended. WHILE: whether a loop has
    one more iteration. COLLECT: a loop's output. OUTPUT: the run's output.
    """

    EDGES = "edges"
    WHILE = "while"
    COLLECT = "collect"
    OUTPUT = "output"


RUN_OUTPUT: Final = f"@{Evaluation.OUTPUT}"


def scope_of(path: str) -> str:
    """The scope that a step stands in: `loop.3` of `loop.3.inner`, empty of `price`."""
    return path.rpartition(".")[0] if "." in path else ROOT


def node_of(path: str) -> str:
    """The id of a step's node: the last part of its path."""
    return path.rpartition(".")[2]


def inside(scope: str, node_id: str) -> str:
    """The path of a node's step in a scope."""
    return f"{scope}.{node_id}" if scope else node_id


def iteration(loop: str, index: int) -> str:
    """The scope of one iteration of a loop."""
    return f"{loop}.{index}"


def iteration_of(scope: str) -> tuple[str, int]:
    """The loop that a scope belongs to, and the number of the iteration."""
    loop, _, index = scope.rpartition(".")
    return loop, int(index)


def evaluation(path: str, purpose: Evaluation) -> str:
    """The path of an evaluation on behalf of a step, or of an iteration."""
    return f"{path}@{purpose}"


def evaluated_for(path: str) -> tuple[str, Evaluation] | None:
    """On whose behalf a path is evaluated, and what for; None of a step that a node stands for."""
    if "@" not in path:
        return None
    owner, _, purpose = path.partition("@")
    return owner, Evaluation(purpose)


def owner_of(path: str) -> str:
    """The step that the work at a path is about: of an evaluation, the one it is done for."""
    found = evaluated_for(path)
    if found is None:
        return path
    owner, purpose = found
    return iteration_of(owner)[0] if purpose is Evaluation.WHILE else owner
