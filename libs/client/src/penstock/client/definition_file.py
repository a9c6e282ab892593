"""A definition in a JSON or YAML file, and the line and column of everything in it.

JSON is read by its own rules, YAML by PyYAML's safe loader; either way a key that stands twice is
refused, and so are values that nest too deep or unfold into too many. YAML's dates stay the text
that was written, for JSON has none.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

BYTES_MAX: Final = 4 * 1024 * 1024
"""A definition has 1 MiB as JSON; YAML's indentation and comments may take more."""
DEPTH_MAX: Final = 64
"""Of values in values, as everywhere in Penstock."""
VALUES_MAX: Final = 400_000
"""Values in a document, each alias counted as what it stands for."""
JSON_SUFFIX: Final = ".json"
SUFFIXES: Final = frozenset({JSON_SUFFIX, ".yaml", ".yml"})
TOO_DEEP: Final = f"values nest at most {DEPTH_MAX} deep"
TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
KEY_TAGS: Final = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"})


class Place(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


class FileUnreadable(Exception):
    """There is no such file, or it cannot be read."""


class FileInvalid(Exception):
    """The file's text is no definition; the message begins with file:line:column."""


class Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """YAML's safe loader, with dates as text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}


class DefinitionFile:
    """A file that was read: `document` is what it says, `place` where."""

    def __init__(self, path: Path, document: dict[str, Any], root: yaml.Node | None) -> None:
        self.path = path
        self.document = document
        self._root = root

    def where(self, pointer: str) -> str:
        """`file:line:column` of what a JSON pointer names, or of the nearest thing around it."""
        node = self._root
        if node is None:
            return str(self.path)
        for token in pointer.split("/")[1:]:
            inner = member(node, token.replace("~1", "/").replace("~0", "~"))
            if inner is None:
                break
            node = inner
        return shown(self.path, place(node.start_mark))


def read(path: Path) -> DefinitionFile:
    """The definition in a file. Raises FileUnreadable, FileInvalid."""
    text = text_of(path)
    root = composed(path, text)
    document = json_value(path, text) if path.suffix == JSON_SUFFIX else yaml_value(path, text)
    if not isinstance(document, dict):
        raise FileInvalid(f"{shown(path, Place(1, 1))}: a definition is an object")
    return DefinitionFile(path, document, root)


def text_of(path: Path) -> str:
    """A file's text. Raises FileUnreadable, FileInvalid."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise FileUnreadable(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > BYTES_MAX:
        raise FileUnreadable(f"{path} has more than {BYTES_MAX} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileInvalid(f"{shown(path, Place(line, 1))}: this is not UTF-8 text") from None


def json_value(path: Path, text: str) -> Any:
    """The value of a JSON text. Raises FileInvalid."""

    def refuse(name: str) -> None:
        raise ValueError(f"JSON has no {name}")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except json.JSONDecodeError as error:
        where = shown(path, Place(error.lineno, error.colno))
        raise FileInvalid(f"{where}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise FileInvalid(f"{path}: {error}") from None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of members, each of which stands once. Raises ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return found


def yaml_value(path: Path, text: str) -> Any:
    """The value of a YAML text, which JSON can say too. Raises FileInvalid."""
    try:
        value = yaml.load(text, Loader)
        json.dumps(value, allow_nan=False)
    except yaml.MarkedYAMLError as error:
        raise invalid(path, error) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise FileInvalid(f"{path}: this is more than JSON can say: {error}") from None
    return value


def composed(path: Path, text: str) -> yaml.Node | None:
    """The nodes of a text with their places; None for an empty one. Raises FileInvalid.

    JSON is nearly YAML; where it is not, its places are not known.
    """
    try:
        check_depth(path, text)
        root: yaml.Node | None = yaml.compose(text, Loader)
    except yaml.YAMLError as error:
        if path.suffix == JSON_SUFFIX:
            return None
        if isinstance(error, yaml.MarkedYAMLError):
            raise invalid(path, error) from None
        raise FileInvalid(f"{path}: {error}") from None
    for key, said in wrong_keys(root):
        raise FileInvalid(f"{shown(path, place(key.start_mark))}: {said}")
    check_unfolded(path, root)
    return root


def check_depth(path: Path, text: str) -> None:
    """Raise FileInvalid for values nested too deep.

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
            mark: Any = event.start_mark  # the C parser's has the same members, and no base
            raise FileInvalid(f"{shown(path, place(mark))}: {TOO_DEEP}")


def check_unfolded(path: Path, root: yaml.Node | None) -> None:
    """Raise FileInvalid where aliases make a small text large, or deep without end."""
    count, level = 0, [] if root is None else [root]
    for _ in range(DEPTH_MAX + 1):
        if not level:
            return
        count += len(level)
        inner: list[yaml.Node] = []
        for node in level:
            if count + len(inner) > VALUES_MAX:
                raise FileInvalid(f"{path}: a document has at most {VALUES_MAX} values")
            if isinstance(node, yaml.SequenceNode):
                inner.extend(node.value)
            elif isinstance(node, yaml.MappingNode):
                inner.extend(value for _, value in node.value)
        level = inner
    raise FileInvalid(f"{path}: {TOO_DEEP}")


def wrong_keys(root: yaml.Node | None) -> Iterator[tuple[yaml.Node, str]]:
    """Every key that is no text, or stands twice in its mapping."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            yield from wrong_keys_of(node)
            left.extend(value for _, value in node.value)


def wrong_keys_of(mapping: yaml.MappingNode) -> Iterator[tuple[yaml.Node, str]]:
    """The wrong keys of one mapping."""
    known: set[str] = set()
    for key, _ in mapping.value:
        if key.tag not in KEY_TAGS:
            yield key, f"a key is a text: write {json.dumps(str(key.value))}"
        elif key.value in known:
            yield key, f"the key {key.value!r} stands twice"
        else:
            known.add(key.value)


def member(node: yaml.Node, token: str) -> yaml.Node | None:
    """What a mapping holds under a key, or a sequence at an index; None when there is no such."""
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == token), None)
    if isinstance(node, yaml.SequenceNode) and token.isdecimal() and int(token) < len(node.value):
        found: yaml.Node = node.value[int(token)]
        return found
    return None


def invalid(path: Path, error: yaml.MarkedYAMLError) -> FileInvalid:
    """What YAML has to say, at its place."""
    mark = error.problem_mark or error.context_mark
    where = str(path) if mark is None else shown(path, place(mark))
    return FileInvalid(f"{where}: {error.problem or error.context}")


def place(mark: yaml.Mark) -> Place:
    """PyYAML's mark, counted as people count."""
    return Place(mark.line + 1, mark.column + 1)


def shown(path: Path, at: Place) -> str:
    """`file:line:column`, as editors and terminals understand it."""
    return f"{path}:{at.line}:{at.column}"
