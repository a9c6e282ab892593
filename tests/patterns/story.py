"""What a run of a pattern's definition is told, and what its log says then, in which order."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.e2e.histories import Event

Place = tuple[int, int]

SAID = {
    "StepReady": "ready",
    "StepWaiting": "waiting",
    "StepSucceeded": "done",
    "StepFailed": "failed",
    "StepTimedOut": "timed_out",
    "StepSkipped": "skipped",
    "StepCancelled": "cancelled",
}
OF_RUN = {
    "RunQueued": "run.queued",
    "RunStarted": "run.started",
    "RunCancelRequested": "run.cancel_requested",
    "RunSucceeded": "run.succeeded",
    "RunFailed": "run.failed",
    "RunCancelled": "run.cancelled",
}


class Act(NamedTuple):
    """What is told to a run: a POST to its `path`, once its log has every word of `after`.

    to: the step whose child is told, where it is not the run itself.
    """

    after: str
    path: str
    body: Any = None
    to: str = ""


class Story(NamedTuple):
    """One run. status: how it ends.

    log: chains of words; those of one chain stand in the run's log in that order, whatever stands
    between them. A word is `<step>.<what happened>`, `signal.<name>` or `run.<what happened>`,
    with `#2` behind it for the second time; in a child's log there is `<step>/` of the step that
    waits for it before all of its words. never: words that are not in the log.
    """

    given: Any
    log: tuple[str, ...]
    acts: tuple[Act, ...] = ()
    never: str = ""
    status: str = "succeeded"
    output: Any = ...


class Refusal(NamedTuple):
    """The definition is no valid one: the only problem that it has."""

    code: str


def signal(name: str, *, after: str, payload: Any = None, to: str = "") -> Act:
    """A signal to the run, or to the child that the step `to` waits for."""
    return Act(after, f"signals/{name}", {"payload": payload}, to)


def words(events: Iterable[Event]) -> list[str]:
    """A run's log, a word for each event that a story may tell of."""
    return [word for _, word in placed(events)]


def placed(events: Iterable[Event], within: str = "") -> list[tuple[Place, str]]:
    """The words of a run's log, `within` before each, and their places among those of all runs."""
    told: list[tuple[Place, str]] = []
    times: Counter[str] = Counter()
    for event in events:
        word = word_of(event)
        if word is not None:
            times[word] += 1
            again = "" if times[word] == 1 else f"#{times[word]}"
            told.append((place_of(event), f"{within}{word}{again}"))
    return told


def place_of(event: Event) -> Place:
    """Where an event stands in the log of all runs."""
    seq, nth = event["position"].split(".")
    return int(seq), int(nth)


def word_of(event: Event) -> str | None:
    """The word for one event; None for one that no story tells of."""
    kind, data = event["type"], event["data"]
    if kind in SAID:
        return f"{data['stepId']}.{SAID[kind]}"
    if kind == "SignalReceived":
        return f"signal.{data['name']}"
    return OF_RUN.get(kind)


def faults(story: Story, told: list[str]) -> list[str]:
    """What a log does not have, or not in the order that the story says; [] when all is right."""
    places = {word: place for place, word in enumerate(told)}
    found = [f"{word} is there" for word in story.never.split() if word in places]
    found += [f"{word}: a step has one end" for word in told if ".done#" in word]
    for chain in story.log:
        missing = [word for word in chain.split() if word not in places]
        found += [f"{word} is not there" for word in missing]
        order = [places[word] for word in chain.split() if word in places]
        if order != sorted(order):
            found.append(f"not in this order: {chain}")
    return found
