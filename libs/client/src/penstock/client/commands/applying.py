"""From a file to the workflow that runs it: created, given a new version, or left as it is."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec.structs import replace
from rich.text import Text

from penstock.client.client import Client
from penstock.client.commands.failure import DefinitionRefused
from penstock.client.commands.session import Session
from penstock.client.definition_file import SUFFIXES, DefinitionFile, read
from penstock.client.errors import Invalid, NotFound, Refused
from penstock.client.models import Problem, Validation, Workflow
from penstock.client.options import FAILED
from penstock.domain.workflow.model import to_wire
from penstock.domain.workflow.parse import parse

KEY_CHARACTERS_MAX: Final = 64
CONTEXT_LINES: Final = 3
INVALID: Final = "VALIDATION_ERROR"
FREE_MEMBERS: Final = frozenset({"inputSchema", "config", "input"})
"""Of a definition and its nodes: those that may hold any object."""
STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What applying a file comes to. before: the definition there is; None for a new workflow."""

    key: str
    document: Document
    workflow: Workflow | None
    before: Document | None
    after: Document

    @property
    def change(self) -> str:
        """`created`, `updated` or `unchanged`."""
        if self.workflow is None:
            return "created"
        return "unchanged" if self.before == self.after else "updated"


def is_file(named: str) -> bool:
    """Whether the command's FILE means a file: it exists, or it looks like one."""
    path = Path(named)
    return path.is_file() or path.suffix in SUFFIXES or path.name != named


def plan(client: Client, file: DefinitionFile) -> Plan:
    """What applying the file would change. Raises as the client does."""
    key = key_of(file.document)
    try:
        workflow = client.workflows.get(key)
    except NotFound:
        workflow = None
    return Plan(
        key=key,
        document={"id": key, **file.document},
        workflow=workflow,
        before=None if workflow is None else canonical(workflow.definition or {}),
        after=canonical(file.document),
    )


def carried_out(client: Client, file: DefinitionFile) -> tuple[Plan, Workflow]:
    """The plan of a file, and the workflow after it. Raises DefinitionRefused with all faults."""
    found = plan(client, file)
    try:
        if found.workflow is None:
            return found, client.workflows.create(definition=found.document)
        if found.change == "unchanged":
            return found, found.workflow
        etag = found.workflow.etag
        return found, client.workflows.update(found.key, definition=found.document, if_match=etag)
    except Invalid as error:
        raise placed(file, error) from None


def placed(file: DefinitionFile, error: Refused) -> DefinitionRefused:
    """A refusal, with each fault's pointer into the definition and its place in the file."""
    faults = tuple(
        replace(problem, pointer=problem.pointer.removeprefix("/definition"))
        for problem in error.problems
    )
    return DefinitionRefused(error, faults, tuple(file.where(fault.pointer) for fault in faults))


def key_of(document: Document) -> str:
    """The workflow's key: the definition's `id`, else made from its name."""
    given = document.get("id") or document.get("name")
    text = given if isinstance(given, str) else ""
    key = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:KEY_CHARACTERS_MAX]
    return (key if document.get("id") else key.lower()) or "workflow"


def canonical(document: Document) -> Document:
    """A definition in its one spelling; one with faults stays as it is, for the server to judge."""
    parsed = parse(document)
    if parsed.definition is None or parsed.problems:
        return document
    wire = to_wire(parsed.definition)
    for free in (wire, *wire["nodes"]):
        free |= {name: in_order(free[name]) for name in FREE_MEMBERS & free.keys()}
    return wire


def in_order(value: Any) -> Any:
    """A value with the members of its objects in order, so that a diff shows differences alone."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [in_order(item) for item in value]
    return value


def difference(before: Document | None, after: Document) -> list[Text]:
    """A coloured unified diff of two definitions, as YAML; empty without a difference."""
    old, new = ([] if each is None else as_yaml(each) for each in (before, after))
    lines = difflib.unified_diff(old, new, "now", "file", n=CONTEXT_LINES, lineterm="")
    return [Text(line, style=STYLES.get(line[:1], "")) for line in lines]


def as_yaml(document: Document) -> list[str]:
    """A definition as lines of YAML."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return text.splitlines()


def apply(session: Session, file: Path, *, dry_run: bool) -> int:
    """`penstock apply`: the exit code, which with `dry_run` says whether there is a difference."""
    definition = read(file)
    if dry_run:
        judged(session, definition)
        found = plan(session.client, definition)
        workflow = found.workflow
    else:
        found, workflow = carried_out(session.client, definition)
    if session.as_json:
        session.answer({"change": found.change, "key": found.key, "workflow": workflow})
    else:
        for line in difference(found.before, found.after):
            session.say(line)
        session.say(said(found, workflow, dry_run=dry_run))
    return FAILED if dry_run and found.change != "unchanged" else 0


def said(found: Plan, workflow: Workflow | None, *, dry_run: bool) -> str:
    """What was done, in a line."""
    version = "" if dry_run or workflow is None else f", version {workflow.version}"
    would = "would be " if dry_run and found.change != "unchanged" else ""
    return f"workflow {found.key} {would}{found.change}{version}"


def validate(session: Session, file: Path) -> int:
    """`penstock validate`: the order in which a definition would run, or all its faults."""
    verdict = judged(session, read(file))
    if session.as_json:
        session.answer(verdict)
        return 0
    for number, layer in enumerate(verdict.plan or (), start=1):
        session.say(f"{number:>3}  {'  '.join(layer)}")
    session.say(f"{file} is valid")
    return 0


def judged(session: Session, file: DefinitionFile) -> Validation:
    """The server's verdict on a definition. Raises DefinitionRefused with all faults."""
    verdict = session.client.workflows.validate(file.document)
    if verdict.valid:
        return verdict
    count = len(verdict.problems)
    said = f"{file.path} has {count} problem{'' if count == 1 else 's'}"
    problem = Problem(status=400, code=INVALID, detail=said, details=verdict.problems)
    raise placed(file, Invalid(problem))
