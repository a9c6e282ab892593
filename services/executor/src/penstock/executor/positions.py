"""Where in a drawing a step stands, told from its path.

The iterations of a loop are many and its body is one: what is worked out for a node of the body
is kept under its position, `loop.inner` for `loop.3.inner` and every other iteration.
"""

from msgspec import Struct

from penstock.domain.run.paths import Evaluation, evaluated_for, iteration_of


class Position(Struct, frozen=True):
    """What a path says.

    nodes: ids from the outermost loop to the step's own. index: the innermost iteration that the
    step stands in, None for none. purpose: of an evaluation, else None. upcoming: the number of
    the iteration that a WHILE is about.
    """

    nodes: tuple[str, ...]
    index: int | None = None
    purpose: Evaluation | None = None
    upcoming: int | None = None

    @property
    def key(self) -> str:
        """What all steps of this position share."""
        drawn = ".".join(self.nodes)
        return drawn if self.purpose is None else f"{drawn}@{self.purpose}"


def position_of(path: str) -> Position:
    """The position of the step, or of the evaluation, at this path."""
    purpose, upcoming = None, None
    found = evaluated_for(path)
    if found is not None:
        path, purpose = found
        if purpose is Evaluation.WHILE:
            path, upcoming = iteration_of(path)
    parts = path.split(".")
    index = int(parts[-2]) if len(parts) > 1 else None
    return Position(tuple(parts[::2]), index, purpose, upcoming)


def key_at(path: str) -> str:
    """`position_of(path).key`, for less."""
    if "@" in path:
        return position_of(path).key
    return ".".join(path.split(".")[::2]) if "." in path else path
