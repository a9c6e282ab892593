"""Every error that the rules of Penstock know.

    Refused                      the caller asked for what cannot be; the caller can mend it
    ├── NotFound                 no such thing, or not the caller's
    ├── Conflict                 the thing is in a state that forbids it
    └── Invalid                  the request itself is wrong
    Contention                   too many writers at once; the same request may be tried again

Anything else that is raised is a fault of ours. Each class's docstring is its default message.
"""


class PenstockError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class Refused(PenstockError):
    """The request was refused."""

    code = "REFUSED"

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class NotFound(Refused):
    """There is no such thing."""

    code = "NOT_FOUND"


class Conflict(Refused):
    """The present state does not allow this."""

    code = "CONFLICT"


class Invalid(Refused):
    """The request is not valid."""

    code = "VALIDATION_ERROR"


class Contention(PenstockError):
    """Too many writers changed this at once; try again."""
