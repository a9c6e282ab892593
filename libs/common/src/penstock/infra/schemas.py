"""JSON Schemas (2020-12): of node configs, and of the input that a run is started with.

References to other documents are never fetched: a schema that holds one is refused, for checking
must neither depend on nor reach out to anything outside. Patterns are matched in linear time.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from jsonschema_rs import (
    Draft202012Validator,
    RegexOptions,
    ValidationError,
    ValidationErrorKind,
)

from penstock.domain.template import OPEN, escaped
from penstock.domain.workflow.node_types import NODE_TYPES

Finding = tuple[str, str]
"""A JSON pointer into what was checked, and what is wrong there."""

FINDINGS_MAX: Final = 100
COMPILED_MAX: Final = 1024
"""Validators kept by a process; compiling one costs about 0.1 ms."""

MESSAGE_MAX: Final = 300
"""Characters of a message; a library's repeats the value, however long it is."""

PATTERNS: Final = RegexOptions()

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
META: Final = Draft202012Validator({"$ref": DIALECT}, offline=True)
"""What every schema has to fit."""


def check_config(node_type: str, config: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with the config of a node of this type.

    A string with a template in it stands for any value, so the executor asks again when it has
    rendered the templates. An unknown type has no schema and nothing wrong.
    """
    kind = NODE_TYPES.get(node_type)
    if kind is None:
        return []
    choice = ", ".join(
        name for option in kind.config_schema.get("oneOf", ()) for name in option["required"]
    )
    told: list[Finding] = []
    for error in config_validator(node_type).iter_errors(dict(config)):
        if error.kind.name == "oneOf" and not error.instance_path:
            told.append(("", f"exactly one of {choice} is needed"))
        elif error.kind.name == "not" or not is_template(error.instance):
            # `not` says that there may be no template, so its verdict holds of one.
            told.extend(findings(error))
    return told[:FINDINGS_MAX]


def check_schema(schema: object) -> list[Finding]:
    """What is wrong with a user's schema; nothing when values can be checked against it."""
    if not isinstance(schema, dict | bool):
        return [("", "a JSON Schema is an object or a boolean")]
    dialect = schema.get("$schema", DIALECT) if isinstance(schema, dict) else DIALECT
    if not isinstance(dialect, str) or dialect.removesuffix("#") != DIALECT:
        return [("/$schema", f"a schema of another dialect; only {DIALECT} is taken")]
    found = [finding for error in META.iter_errors(schema) for finding in findings(error)]
    if found:
        return found[:FINDINGS_MAX]
    try:
        compiled(json.dumps(schema))
    except ValidationError as error:
        return list(findings(error))
    return []


def check_value(schema: Mapping[str, Any] | bool, value: object) -> list[Finding]:
    """What is wrong with a value by a schema that `check_schema` found well."""
    text = json.dumps(schema if isinstance(schema, bool) else dict(schema))
    errors = compiled(text).iter_errors(value)
    return list(islice((finding for error in errors for finding in findings(error)), FINDINGS_MAX))


@lru_cache(maxsize=COMPILED_MAX)
def compiled(text: str) -> Draft202012Validator:
    """The validator of a user's schema. Raises ValidationError for one that cannot be used."""
    return Draft202012Validator(json.loads(text), offline=True, pattern_options=PATTERNS)


@lru_cache(maxsize=len(NODE_TYPES))
def config_validator(node_type: str) -> Draft202012Validator:
    """The validator of a node type's config; formats count."""
    schema = dict(NODE_TYPES[node_type].config_schema)
    return Draft202012Validator(
        schema, offline=True, pattern_options=PATTERNS, validate_formats=True
    )


def is_template(instance: object) -> bool:
    """Whether a value is only known when its template is rendered."""
    return isinstance(instance, str) and OPEN in instance


def findings(error: ValidationError) -> Iterator[Finding]:
    """What one error says: for each unknown or missing member at the place of that member."""
    at = "".join(f"/{escaped(str(step))}" for step in error.instance_path)
    match error.kind:
        case (
            ValidationErrorKind.AdditionalProperties(unexpected=names)
            | ValidationErrorKind.UnevaluatedProperties(unexpected=names)
        ):
            yield from ((f"{at}/{escaped(name)}", f"{name} is not known here") for name in names)
        case ValidationErrorKind.Required(property=name):
            yield f"{at}/{escaped(name)}", f"{name} is missing"
        case _:
            yield at, shortened(error.message)


def shortened(message: str) -> str:
    """A message without what follows its first line, and not too long."""
    line = message.partition("\n")[0]
    return line if len(line) <= MESSAGE_MAX else line[: MESSAGE_MAX - 1] + "…"
