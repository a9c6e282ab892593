"""The JSON Schemas (2020-12) of the configs of node types.

They describe resolved configs. A string with a template stands for any value while a definition
is checked, and the executor checks again what the templates gave.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

Schema = Mapping[str, Any]

YEAR_MS: Final = 366 * 24 * 3600 * 1000
REQUEST_TIMEOUT_MS: Final = 15_000
REQUEST_TIMEOUT_MAX_MS: Final = 3_600_000
REDIRECTS_MAX: Final = 5
"""Each is a request of its own behind the egress guard."""
RESPONSE_BYTES_MAX: Final = 64 * 1024 * 1024

QUERY_TIMEOUT_MS: Final = 30_000
COMPLETION_TIMEOUT_MS: Final = 60_000
MESSAGES_MAX: Final = 1_000
ROWS: Final = 1_000
ROWS_MAX: Final = 10_000
"""Of one answer; who needs more asks for them in pages."""

CASES_MAX: Final = 1000
MAILBOXES_MAX: Final = 100
"""What every server that takes mail must take in one message."""
APPROVERS_MAX: Final = 100
LOOP_CONCURRENCY_MAX: Final = 512
ITERATIONS_MAX: Final = 10_000
"""A loop over more is a workflow for each of them."""

ANYTHING: Final[Schema] = MappingProxyType({"type": "object"})
NOTHING: Final[Schema] = MappingProxyType(
    {"type": "object", "properties": {}, "additionalProperties": False}
)

BRANCH: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "not": {"type": "string", "pattern": "\\{\\{"},
    "description": "The name of a branch; no template",
}
WORKFLOW_ID: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
VERSION: Final[Schema] = {
    "type": "integer",
    "minimum": 1,
    "description": "Without it: the version that is current when the step starts",
}
WAIT_LIMIT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": YEAR_MS}

URL: Final[Schema] = {
    "type": "string",
    "pattern": "^[hH][tT][tT][pP][sS]?://[^/\\s]",
    "maxLength": 8192,
    "description": "An absolute http or https URL",
}
TEXT_VALUES: Final[Schema] = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}
CONNECTION: Final[Schema] = {
    "type": "string",
    "pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,63}$",
    "not": {"type": "string", "pattern": "\\{\\{"},
    "description": "The name of a connection, which signs the request; no template",
}
MAILBOXES: Final[Schema] = {
    "type": ["string", "array"],
    "items": {"type": "string", "minLength": 1, "maxLength": 600},
    "minLength": 1,
    "maxLength": 600,
    "maxItems": MAILBOXES_MAX,
    "description": "One mailbox, `ada@example.org` or `Ada <ada@example.org>`, or a list of them",
}
ACCEPT_STATUS: Final[Schema] = {
    "type": "array",
    "items": {
        "type": ["integer", "string"],
        "minimum": 100,
        "maximum": 599,
        "pattern": "^[1-5]([0-9][0-9]|xx)$",
    },
    "description": 'Statuses that do not fail the step: 404, "404" or a class as "4xx"',
}
REQUEST_TIMEOUT: Final[Schema] = {
    "type": "integer",
    "minimum": 1,
    "maximum": REQUEST_TIMEOUT_MAX_MS,
    "default": REQUEST_TIMEOUT_MS,
    "description": "Of the call, redirects included. A node without a timeoutMs of its own gets as "
    "long; that of a node goes before it",
}

HTTP_REQUEST: Final[Schema] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "method": {
            "type": "string",
            "pattern": "^(?i:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$",
            "default": "GET",
        },
        "url": URL,
        "headers": TEXT_VALUES,
        "query": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null", "array"]},
        },
        "body": {"description": "Without it: the input as JSON for POST, PUT and PATCH"},
        "connection": CONNECTION,
        "timeoutMs": REQUEST_TIMEOUT,
        "acceptStatus": ACCEPT_STATUS,
        "followRedirects": {"type": "boolean", "default": True},
        "maxRedirects": {
            "type": "integer",
            "minimum": 0,
            "maximum": REDIRECTS_MAX,
            "default": REDIRECTS_MAX,
        },
        "maxResponseBytes": {"type": "integer", "minimum": 0, "maximum": RESPONSE_BYTES_MAX},
        "tls": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"verify": {"type": "boolean", "default": True}},
        },
    },
}

TRANSFORM: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "oneOf": [{"required": ["output"]}, {"required": ["transform"]}, {"required": ["code"]}],
    "properties": {
        "output": {"description": "Any value with templates; it is the output"},
        "transform": {
            "type": "string",
            "enum": ["uppercase", "lowercase", "trim", "capitalize", "title", "reverse"],
        },
        "value": {"description": "The text to transform; default: the input, or its `text`"},
        "code": {"type": "string"},
        "language": {"enum": ["javascript", "python"]},
    },
}

CONDITION: Final[Schema] = {
    "type": "object",
    "required": ["expression"],
    "additionalProperties": False,
    "properties": {
        "expression": {"type": ["string", "boolean"], "minLength": 1},
        "language": {"enum": ["cel", "javascript"], "default": "cel"},
    },
}

DELAY: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "oneOf": [{"required": ["durationMs"]}, {"required": ["until"]}],
    "properties": {
        "durationMs": {"type": "integer", "minimum": 0, "maximum": YEAR_MS},
        "until": {"type": "string", "format": "date-time", "description": "RFC 3339"},
    },
}

WEBHOOK: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "url": URL,
        "headers": TEXT_VALUES,
        "secret": {"type": "string", "description": "Signs by the Standard Webhooks rules"},
        "connection": CONNECTION,
        "timeoutMs": REQUEST_TIMEOUT,
        "acceptStatus": ACCEPT_STATUS,
    },
}

SWITCH: Final[Schema] = {
    "type": "object",
    "required": ["expression", "cases"],
    "additionalProperties": False,
    "properties": {
        "expression": {"type": "string", "minLength": 1},
        "cases": {
            "type": "array",
            "items": BRANCH,
            "minItems": 1,
            "maxItems": CASES_MAX,
            "uniqueItems": True,
        },
        "default": {**BRANCH, "default": "default"},
    },
}

LOOP: Final[Schema] = {
    "type": "object",
    "required": ["body"],
    "additionalProperties": False,
    "oneOf": [{"required": ["items"]}, {"required": ["while"]}],
    "properties": {
        "items": {"type": "array", "description": "A list, or a template that gives one"},
        "while": {"type": "string", "minLength": 1},
        "body": {"type": "object", "description": "{nodes, edges} or {workflowId, version?}"},
        "mode": {"enum": ["parallel", "sequential"], "default": "parallel"},
        "maxConcurrency": {"type": "integer", "minimum": 1, "maximum": LOOP_CONCURRENCY_MAX},
        "maxIterations": {
            "type": "integer",
            "minimum": 1,
            "maximum": ITERATIONS_MAX,
            "default": ITERATIONS_MAX,
        },
        "onItemError": {"enum": ["fail", "continue"], "default": "fail"},
    },
    "dependentSchemas": {
        "while": {
            "properties": {
                "mode": {"const": "sequential"},
                "maxConcurrency": {"const": 1},
            },
        },
    },
}

SUB_WORKFLOW: Final[Schema] = {
    "type": "object",
    "required": ["workflowId"],
    "additionalProperties": False,
    "properties": {"workflowId": WORKFLOW_ID, "version": VERSION},
}

APPROVAL: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "timeoutMs": WAIT_LIMIT,
        "onTimeout": BRANCH,
        "message": {"type": "string", "maxLength": 10_000},
        "approvers": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 320},
            "maxItems": APPROVERS_MAX,
        },
    },
    "dependentRequired": {"onTimeout": ["timeoutMs"]},
}

WAIT_FOR_SIGNAL: Final[Schema] = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "timeoutMs": WAIT_LIMIT,
        "onTimeout": BRANCH,
    },
    "dependentRequired": {"onTimeout": ["timeoutMs"]},
}

EMIT_EVENT: Final[Schema] = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "minLength": 1, "maxLength": 200},
        "source": {"type": "string", "minLength": 1, "maxLength": 200},
        "data": {"description": "Any value with templates; default: the input"},
    },
}

FALLBACK: Final[Schema] = {
    "type": "object",
    "required": ["output"],
    "additionalProperties": False,
    "properties": {"output": {"description": "Any value with templates"}},
}

EMAIL: Final[Schema] = {
    "type": "object",
    "required": ["connection", "to", "subject"],
    "anyOf": [{"required": ["text"]}, {"required": ["html"]}],
    "additionalProperties": False,
    "properties": {
        "connection": {**CONNECTION, "description": "The name of a connection of the type smtp"},
        "to": MAILBOXES,
        "cc": MAILBOXES,
        "bcc": MAILBOXES,
        "replyTo": MAILBOXES,
        "from": {
            "type": "string",
            "minLength": 1,
            "maxLength": 600,
            "description": "Default: the connection's `from`, else its user",
        },
        "subject": {"type": "string", "maxLength": 500},
        "text": {"type": "string"},
        "html": {"type": "string"},
    },
}

DATABASE_QUERY: Final[Schema] = {
    "type": "object",
    "required": ["connection", "sql"],
    "additionalProperties": False,
    "properties": {
        "connection": {
            **CONNECTION,
            "description": "The name of a connection of the type postgres",
        },
        "sql": {
            "type": "string",
            "minLength": 1,
            "maxLength": 100_000,
            "not": {"type": "string", "pattern": "\\{\\{"},
            "description": "One statement; no template. `%s` or `%(name)s` stand for parameters, "
            "and `%%` for `%` where there are any",
        },
        "params": {"type": ["array", "object"], "description": "In their order, or by name"},
        "readOnly": {"type": "boolean", "default": True},
        "maxRows": {"type": "integer", "minimum": 1, "maximum": ROWS_MAX, "default": ROWS},
        "timeoutMs": {
            **REQUEST_TIMEOUT,
            "default": QUERY_TIMEOUT_MS,
            "description": "Of the statement",
        },
    },
}

AI_COMPLETION: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "not": {"required": ["prompt", "messages"]},
    "properties": {
        "connection": {
            **CONNECTION,
            "description": "The name of a connection of the type openai. Without it the "
            "installation's key, and where there is none a mock that says that it is one",
        },
        "prompt": {"type": "string", "description": "Without it and messages: the input as text"},
        "system": {"type": "string", "description": "What is said to the model before that"},
        "messages": {
            "type": "array",
            "minItems": 1,
            "maxItems": MESSAGES_MAX,
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "additionalProperties": False,
                "properties": {
                    "role": {"enum": ["system", "developer", "user", "assistant"]},
                    "content": {"type": "string"},
                },
            },
        },
        "model": {"type": "string", "minLength": 1, "maxLength": 200, "default": "gpt-4o-mini"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "maxTokens": {"type": "integer", "minimum": 1},
        "responseFormat": {"enum": ["text", "json"], "default": "text"},
        "timeoutMs": {
            **REQUEST_TIMEOUT,
            "default": COMPLETION_TIMEOUT_MS,
            "description": "Of the call",
        },
    },
}
