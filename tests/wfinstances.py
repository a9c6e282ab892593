"""Real scientific workflows (WfCommons, WfFormat 1.5) as definitions of noops.

One task is one node, one parent-child pair is one edge. They are not part of the project: the
folder is named by `PENSTOCK_WFINSTANCES`, else lies beside the checkout.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data" / "wfinstances"
VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
KEPT_OF_A_NAME = 55
"""Characters kept of a name that is no valid id; a dash and 8 hex digits follow."""


def folder() -> Path:
    """Where the instances are, if they are there."""
    return Path(os.environ.get("PENSTOCK_WFINSTANCES", BESIDE_THE_CHECKOUT))


def instances() -> list[Path]:
    """The files, by name; empty where the folder is absent."""
    return sorted(folder().glob("*.json"))


def node_id(name: str) -> str:
    """The task's name where it is a valid id, else what is left of it and a digest."""
    if VALID_ID.fullmatch(name):
        return name
    kept = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:KEPT_OF_A_NAME]
    return f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def definition_of(path: Path) -> dict[str, Any]:
    """The definition document of one instance."""
    tasks = json.loads(path.read_text())["workflow"]["specification"]["tasks"]
    nodes = [{"id": node_id(task["id"]), "type": "noop"} for task in tasks]
    edges = [
        {"from": node_id(parent), "to": node_id(task["id"])}
        for task in tasks
        for parent in task["parents"]
    ]
    return {"name": path.stem, "nodes": nodes, "edges": edges}
