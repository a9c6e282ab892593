"""Definitions as text, JSON or YAML, and back: what is read is what was written.

YAML is read as PyYAML's safe loader does, with dates as the text that was written, for JSON has
none. What JSON cannot say, keys that stand twice, and texts that unfold into more than they are
(aliases of aliases) are refused.
"""

import json
from typing import Any, Final

import yaml

VALUES_MAX: Final = 400_000
"""Values in a document, each alias counted as what it stands for."""
DEPTH_MAX: Final = 64
TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
KEY_TAGS: Final = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"})
WIDTH: Final = 100

Document = dict[str, Any]


class DocumentInvalid(ValueError):
    """The text is no document; the message says where and why."""


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's safe loader, with dates as text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}


class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """YAML's safe dumper, which writes everything where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always: a value that stands twice is written twice."""
        return True


def yaml_text(document: Document) -> str:
    """A document as YAML, its members in their order."""
    text: str = yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return text


def json_text(document: Document) -> str:
    """A document as indented JSON, its members in their order."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def yaml_value(text: str) -> Any:
    """The value of a YAML text, which JSON can say too. Raises DocumentInvalid."""
    loader = Loader(text)
    try:
        check_depth(text)
        root = loader.get_single_node()
        if root is None:
            raise DocumentInvalid("the document is empty")
        checked(root)
        value = loader.construct_document(root)
        json.dumps(value, allow_nan=False).encode()
    except yaml.MarkedYAMLError as error:
        raise DocumentInvalid(f"{place(error)}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise DocumentInvalid(str(error).partition("\n")[0]) from None
    except (TypeError, OverflowError) as error:
        raise DocumentInvalid(f"this is more than JSON can say: {error}") from None
    except DocumentInvalid:
        raise
    except ValueError as error:
        raise DocumentInvalid(f"this is more than JSON can say: {error}") from None
    finally:
        loader.dispose()
    return value


def check_depth(text: str) -> None:
    """Raise DocumentInvalid for values nested too deep.

    Asked of the text's events, for PyYAML composes by recursion that nothing stops: a text of many
    brackets would end the process.
    """
    depth = 0
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise DocumentInvalid(f"values nest at most {DEPTH_MAX} deep")


def place(error: yaml.MarkedYAMLError) -> str:
    """Where YAML found fault, counted from 1."""
    mark = error.problem_mark or error.context_mark
    return "" if mark is None else at(mark)


def at(mark: yaml.Mark) -> str:
    """A place in the text, to be put before what is said of it."""
    return f"line {mark.line + 1}, column {mark.column + 1}: "


def checked(root: yaml.Node) -> None:
    """Raise DocumentInvalid for wrong keys, too many values, or values nested too deep.

    Aliases unfold here, so that what is not deep by its text may be so by what it says.
    """
    count, depth, level = 0, 0, [root]
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise DocumentInvalid(f"values nest at most {DEPTH_MAX} deep")
        inner: list[yaml.Node] = []
        for node in level:
            inner.extend(inside(node))
            if count + len(inner) > VALUES_MAX:
                raise DocumentInvalid(f"a document has at most {VALUES_MAX} values")
        count += len(inner)
        level = inner


def inside(node: yaml.Node) -> list[yaml.Node]:
    """The values in a node. Raises DocumentInvalid for a key that is no text or stands twice."""
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    known: set[str] = set()
    for key, _ in node.value:
        if key.tag not in KEY_TAGS:
            raise DocumentInvalid(f"{at(key.start_mark)}a key is a text: write it in quotes")
        if key.value in known:
            raise DocumentInvalid(f"{at(key.start_mark)}the key {key.value!r} stands twice")
        known.add(key.value)
    return [value for _, value in node.value]
