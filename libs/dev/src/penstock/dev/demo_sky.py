"""A hundred nodes in the shape of a scientific workflow: a mosaic of the sky from 24 images.

Each image is projected; neighbours are compared where they overlap; one model of the background is
fitted to all differences; each image is corrected by it and made small; all end in one mosaic.
"""

from typing import Any, Final

IMAGES: Final = 24
NODES: Final = 100

Node = dict[str, Any]
Edge = dict[str, str]


def definition() -> dict[str, Any]:
    """The workflow's definition."""
    nodes = [
        transform("ingest", {"field": "{{ input.field }}", "images": IMAGES}),
        *(transform(f"project-{n}", projected(n)) for n in images()),
        *(transform(f"overlap-{n}", overlap(n)) for n in images()[1:]),
        transform("fit", {"overlaps": "{{ size(input) }}", "planes": IMAGES}),
        transform("model", {"offset": "{{ double(input.overlaps) / input.planes }}"}),
        *(transform(f"correct-{n}", corrected(n)) for n in images()),
        *({"id": f"shrink-{n}", "type": "noop"} for n in images()),
        transform("index", {"entries": "{{ size(input) }}"}),
        transform("mosaic", mosaic()),
    ]
    assert len(nodes) == NODES, "the picture in the README says a hundred"
    return {
        "id": "sky-mosaic",
        "name": "Sky mosaic",
        "description": "A hundred nodes: fan-out, comparison of neighbours, fan-in, and once more",
        "nodes": nodes,
        "edges": edges(),
    }


def images() -> range:
    """The numbers of the images."""
    return range(1, IMAGES + 1)


def edges() -> list[Edge]:
    """What waits for what."""
    return [
        *(edge("ingest", f"project-{n}") for n in images()),
        *(edge(f"project-{n - 1}", f"overlap-{n}") for n in images()[1:]),
        *(edge(f"project-{n}", f"overlap-{n}") for n in images()[1:]),
        *(edge(f"overlap-{n}", "fit") for n in images()[1:]),
        edge("fit", "model"),
        *(edge(f"project-{n}", f"correct-{n}") for n in images()),
        *(edge("model", f"correct-{n}") for n in images()),
        *(edge(f"correct-{n}", f"shrink-{n}") for n in images()),
        *(edge(f"correct-{n}", "index") for n in images()),
        *(edge(f"shrink-{n}", "mosaic") for n in images()),
        edge("index", "mosaic"),
    ]


def projected(number: int) -> Any:
    """What comes of projecting an image."""
    return {"image": number, "field": "{{ input.field }}", "level": 100 + number}


def overlap(number: int) -> Any:
    """How far two neighbours differ where they overlap."""
    before, own = f"nodes.project-{number - 1}.output", f"nodes.project-{number}.output"
    return {
        "between": [number - 1, number],
        "difference": f"{{{{ {own}.level - {before}.level }}}}",
    }


def corrected(number: int) -> Any:
    """An image with the background taken off."""
    level = f"nodes.project-{number}.output.level - nodes.model.output.offset"
    return {"image": number, "level": f"{{{{ {level} }}}}"}


def mosaic() -> Any:
    """The picture of all."""
    return {
        "field": "{{ nodes.ingest.output.field }}",
        "images": "{{ nodes.index.output.entries }}",
        "first": "{{ nodes.shrink-1.output.level }}",
        "last": f"{{{{ nodes.shrink-{IMAGES}.output.level }}}}",
    }


def transform(name: str, output: Any) -> Node:
    """A node that makes a value."""
    return {"id": name, "type": "transform", "config": {"output": output}}


def edge(source: str, target: str) -> Edge:
    """`target` waits for `source`."""
    return {"from": source, "to": target}
