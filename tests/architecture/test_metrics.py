"""A metric that nobody fills says 0 for ever, which looks like good news."""

import re

from penstock.infra.telemetry import metrics
from tests.architecture.tree import ROOT

NAMED = re.compile(r"^(\w+) = _(?:counter|gauge|histogram)\(", re.MULTILINE)


def test_every_metric_is_filled_somewhere() -> None:
    declared = ROOT / "libs/common/src/penstock/infra/telemetry/metrics.py"
    names = NAMED.findall(declared.read_text())
    assert len(names) > 20
    assert all(hasattr(metrics, name) for name in names)
    sources = [
        path.read_text()
        for folder in ("libs", "services")
        for path in (ROOT / folder).rglob("*.py")
        if path != declared
    ]
    unused = [n for n in names if not any(re.search(rf"\b{n}\b", text) for text in sources)]
    assert unused == []
