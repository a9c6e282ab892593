"""`penstock workflows …`: workflows and their versions, shown, changed, compared, kept in files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.table import Column, Table
from rich.text import Text

from penstock.client.commands.applying import as_yaml, is_file, placed
from penstock.client.commands.failure import WrongUse
from penstock.client.commands.session import Session
from penstock.client.definition_file import JSON_SUFFIX, read
from penstock.client.errors import Invalid
from penstock.client.models import Comparison, Imported, Version, Workflow
from penstock.client.options import FAILED

MOMENT: Final = "%Y-%m-%d %H:%M:%S"
SIGNS: Final = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "cyan")}
VALUE_CHARACTERS_MAX: Final = 80


def list_workflows(session: Session, *, limit: int) -> int:
    """`penstock workflows list`: the newest workflows."""
    page = session.client.workflows.list(limit=limit)
    if session.as_json:
        session.answer(page)
        return 0
    table = Table(Column("key", no_wrap=True), "name", "version", "pinned", "created", box=None)
    for each in page.items:
        cells = [each.key, each.name, number(each.version), number(each.pinned_version)]
        table.add_row(*(Text(cell) for cell in [*cells, moment(each)]))
    session.say(table if page.items else "no workflows")
    return 0


def get_workflow(session: Session, workflow: str) -> int:
    """`penstock workflows get`: what is known of one, and its definition."""
    found = session.client.workflows.get(workflow)
    if session.as_json:
        session.answer(found)
        return 0
    session.say(f"{found.key}  {found.name}")
    tell_version(session, found)
    if found.definition is not None:
        session.say("\n".join(as_yaml(found.definition)))
    return 0


def delete_workflow(session: Session, workflow: str) -> int:
    """`penstock workflows delete`."""
    session.client.workflows.delete(workflow)
    if session.as_json:
        session.answer({"workflow": workflow, "deleted": True})
    else:
        session.say(f"workflow {workflow} is deleted; its runs stay")
    return 0


def list_versions(session: Session, workflow: str, *, limit: int) -> int:
    """`penstock workflows versions`: the newest versions; the one that runs is marked."""
    page = session.client.workflows.versions(workflow, limit=limit)
    if session.as_json:
        session.answer(page)
        return 0
    found = session.client.workflows.get(workflow)
    run = found.pinned_version or found.version
    table = Table("", "version", "status", "created", "by", "content", box=None)
    for each in page.items:
        mark = "▶" if each.number == run else ""
        cells = [mark, str(each.number), each.status, moment(each), each.created_by or ""]
        table.add_row(*(Text(cell) for cell in [*cells, (each.content_hash or "")[:12]]))
    session.say(table if page.items else "no versions")
    return 0


def publish(session: Session, workflow: str, version: str) -> int:
    """`penstock workflows publish`."""
    return changed(session, session.client.workflows.publish(workflow, version))


def pin(session: Session, workflow: str, version: str) -> int:
    """`penstock workflows pin`."""
    return changed(session, session.client.workflows.pin(workflow, version))


def unpin(session: Session, workflow: str) -> int:
    """`penstock workflows unpin`."""
    return changed(session, session.client.workflows.unpin(workflow))


def changed(session: Session, workflow: Workflow) -> int:
    """What the workflow is like now."""
    if session.as_json:
        session.answer(workflow)
    else:
        tell_version(session, workflow)
    return 0


def tell_version(session: Session, workflow: Workflow) -> None:
    """Which version is run by default."""
    run = workflow.pinned_version or workflow.version
    if run is None:
        session.say(f"workflow {workflow.key} has no published version")
        return
    how = "pinned" if workflow.pinned_version is not None else "the newest published one"
    session.say(f"workflow {workflow.key} runs version {run}, {how}")


def diff(session: Session, workflow: str, older: str, newer: str | None) -> int:
    """`penstock workflows diff`: the exit code says whether there is a difference."""
    found = session.client.workflows.compare(workflow, older, newer)
    if session.as_json:
        session.answer(found)
    else:
        session.say(f"version {found.older.number} → version {found.newer.number}", style="dim")
        for line in lines(found):
            session.say(line)
        if found.identical:
            session.say("no difference")
    return 0 if found.identical else FAILED


def lines(found: Comparison) -> Iterator[Text]:
    """A line for every difference."""
    for change in found.settings:
        yield line(change["kind"], change["pointer"], said(change))
    for kind in ("removed", "added"):
        for each in found.nodes[kind]:
            yield line(kind, each["pointer"], f"node {each['id']} ({each['node']['type']})")
    for each in found.nodes["changed"]:
        for change in each["changes"]:
            yield line(change["kind"], change["pointer"], f"node {each['id']}: {said(change)}")
    for kind in ("removed", "added"):
        for each in found.edges[kind]:
            yield line(kind, each["pointer"], f"edge {shown_edge(each['edge'])}")
    for each in found.edges["changed"]:
        told = f"edge {shown_edge(each['before'])} is {shown_edge(each['after'])}"
        yield line("changed", each["pointer"], told)
    for name, part in (("nodes", found.nodes), ("edges", found.edges)):
        if part["reordered"]:
            yield line("changed", f"/{name}", f"{name} come in another order")


def line(kind: str, pointer: str, text: str) -> Text:
    """One difference: what became of it, where, and what it is."""
    sign, style = SIGNS[kind]
    return Text.assemble((f"{sign} {pointer or '/'}", style), f"  {text}")


def said(change: dict[str, Any]) -> str:
    """A value before and after."""
    told = [shown_value(change[name]) for name in ("before", "after") if name in change]
    return " → ".join(told)


def shown_value(value: Any) -> str:
    """A value, short enough for a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 1] + "…"


def shown_edge(edge: dict[str, Any]) -> str:
    """An edge in a few words."""
    condition = edge.get("condition", {})
    asked = [condition[name] for name in ("type", "branch", "expression") if name in condition]
    return f"{edge['from']} → {edge['to']}" + (f" ({' '.join(asked)})" if asked else "")


def export(session: Session, workflow: str, *, output: Path | None, version: str | None) -> int:
    """`penstock workflows export`: into a file, or to standard output."""
    is_json = session.as_json or (output is not None and output.suffix == JSON_SUFFIX)
    format_ = "json" if is_json else "yaml"
    text = session.client.workflows.export(workflow, format=format_, version=version)
    if output is None:
        if session.as_json:
            session.answer(json.loads(text))
        else:
            session.write(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WrongUse(f"{output} cannot be written: {error.strerror}") from None
    if session.as_json:
        session.answer({"workflow": workflow, "file": str(output)})
    else:
        session.say(f"workflow {workflow} is in {output}")
    return 0


def import_(session: Session, named: str) -> int:
    """`penstock workflows import` of a file or a workflow. Raises DefinitionRefused.

    A workflow is one that its tenant shows to all: what it exports becomes one's own.
    """
    found = imported(session, Path(named)) if is_file(named) else copied(session, named)
    if session.as_json:
        session.answer(found)
    else:
        session.say(f"workflow {found.key} {found.change}, version {found.version}")
    return 0


def imported(session: Session, path: Path) -> Imported:
    """The workflow of a file. Raises DefinitionRefused with all faults."""
    file = read(path)
    try:
        return session.client.workflows.import_(file.document)
    except Invalid as error:
        raise placed(file, error) from None


def copied(session: Session, workflow: str) -> Imported:
    """The workflow of what another one exports. Raises as the client does."""
    workflows = session.client.workflows
    return workflows.import_(workflows.export(workflow))


def set_visibility(session: Session, workflow: str, visibility: str) -> int:
    """`penstock workflows visibility`."""
    found = session.client.workflows.update(workflow, visibility=visibility)
    if session.as_json:
        session.answer(found)
    elif found.visibility == "tenant":
        session.say(f"workflow {found.key} is read by its own tenant alone")
    else:
        session.say(f"workflow {found.key} is read by every tenant that knows its id {found.id}")
    return 0


def moment(of: Workflow | Version) -> str:
    """When it was made, in local time."""
    return "" if of.created_at is None else of.created_at.astimezone().strftime(MOMENT)


def number(version: int | None) -> str:
    """A version's number, nothing for none."""
    return "" if version is None else str(version)
