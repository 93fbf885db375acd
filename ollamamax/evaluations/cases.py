"""The cases of a suite: what a version is asked, and what is checked of its answer. Pure: no Django, no database.

A case that chats has messages, and its answer is checked; a case that embeds has one text, whose embedding is compared with that of another.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
import re2

from ollamamax.gateway import schemas
from ollamamax.kernel.errors import InvalidRequest

MOST_CASES = 200
MOST_CHECKS = 10
MOST_MESSAGES = 50
MOST_TEXT = 32_000
"""Characters of one message or expected text."""
MOST_SCHEMA_PARTS = 5_000
"""Of the JSON schemas that differ, together: reading them takes about half a millisecond a part."""
MOST_BYTES = 512 * 1024
"""Of all cases of a suite, as JSON."""
MOST_PATTERN = schemas.MOST_PATTERN
MOST_TOKENS = 8192
DEFAULT_TOKENS = 512
MOST_NAME = 100
MOST_MODEL = 340
BEST_GRADE = 10
CHECKS = ("exact", "regex", "json_schema", "judge", "distance")
ROLES = ("system", "user", "assistant")
CheckKind = Literal["exact", "regex", "json_schema", "judge", "distance"]
_PROGRAM = 1 << 20
"""Bytes of memory that one regular expression may take."""


class EvaluationCheck(msgspec.Struct, frozen=True):
    """One check of an answer; which fields count depends on ``kind``.

    ``exact``: it is ``expected``, without white space around it. ``regex``: ``pattern`` (RE2's syntax) is found in it, or, with ``absent``, is not.
    ``json_schema``: it is JSON that fits ``schema``. ``judge``: ``model`` grades it by ``criteria`` with ``least`` or more of `BEST_GRADE`.
    ``distance``: the cosine distance (0 to 2) between the embeddings of it and of ``expected`` is ``most`` or less; ``model`` embeds them, and in a case
    that embeds the version itself.
    """

    kind: CheckKind
    expected: str = ""
    ignore_case: bool = False
    pattern: str = ""
    absent: bool = False
    schema: dict[str, Any] | None = None
    model: str = ""
    criteria: str = ""
    least: int = 7
    most: float = 0.3


class EvaluationMessage(msgspec.Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str


class EvaluationCase(msgspec.Struct, frozen=True):
    """``text`` is what is embedded. ``format``: what the answer is asked to be, ``json`` or a JSON schema; null: any text."""

    name: str
    checks: tuple[EvaluationCheck, ...]
    kind: Literal["chat", "embed"] = "chat"
    messages: tuple[EvaluationMessage, ...] = ()
    text: str = ""
    temperature: float = 0.0
    seed: int | None = 0
    max_tokens: int = DEFAULT_TOKENS
    format: Literal["json"] | dict[str, Any] | None = None


Cases = tuple[EvaluationCase, ...]
_canonical = msgspec.json.Encoder(order="sorted").encode


def read_cases(given: Any) -> Cases:
    """Of JSON values that `checked` made, or of a caller. Raises `InvalidRequest`, which names the case."""
    try:
        found = msgspec.convert(given, tuple[EvaluationCase, ...])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"These are no cases: {error}.", param="cases") from None
    return found


def checked(given: Any) -> Cases:
    """Cases that can be run. Raises `InvalidRequest`, which names the case and what is wrong."""
    cases = read_cases(given)
    encoded = _canonical(cases)
    if len(encoded) > MOST_BYTES:
        raise InvalidRequest(f"The cases have more than {MOST_BYTES} bytes together.", param="cases")
    if rb"\u0000" in encoded:
        raise InvalidRequest("The cases hold a null character, which cannot be kept.", param="cases")
    if not 1 <= len(cases) <= MOST_CASES:
        raise InvalidRequest(f"A suite has 1 to {MOST_CASES} cases.", param="cases")
    names: set[str] = set()
    for case in cases:
        if case.name in names:
            raise InvalidRequest(f"Two cases are called '{case.name}'.", param="cases")
        names.add(case.name)
        if (problem := _problem_of(case)) is not None:
            raise InvalidRequest(f"Case '{case.name}': {problem}", param="cases")
    _check_schemas(cases)
    return cases


def digest_of(cases: Cases) -> str:
    """The same for the same cases, however their JSON was written."""
    return f"sha256:{hashlib.sha256(_canonical(cases)).hexdigest()}"


def as_json(cases: Cases) -> list[dict[str, Any]]:
    """As they are kept and shown: without what is as by default, so that they can be given again as they are."""
    return [
        _without_defaults(case)
        | {"checks": [_without_defaults(check) for check in case.checks]}
        | ({"messages": [msgspec.to_builtins(each) for each in case.messages]} if case.messages else {})
        for case in cases
    ]


def _without_defaults(given: msgspec.Struct) -> dict[str, Any]:
    return {
        field.name: value
        for field in msgspec.structs.fields(given)
        if (value := getattr(given, field.name)) != field.default
    }


def _problem_of(case: EvaluationCase) -> str | None:
    """What cannot be, as a sentence."""
    if not case.name.strip() or len(case.name) > MOST_NAME:
        return f"its name has 1 to {MOST_NAME} characters."
    if not 1 <= len(case.checks) <= MOST_CHECKS:
        return f"it has 1 to {MOST_CHECKS} checks."
    if not 0 <= case.temperature <= 2 or not 1 <= case.max_tokens <= MOST_TOKENS:
        return f"'temperature' is from 0 to 2, and 'max_tokens' from 1 to {MOST_TOKENS}."
    if case.seed is not None and not 0 <= case.seed < 1 << 31:
        return "'seed' is a number from 0 to 2147483647, or null."
    if case.kind == "chat" and (case.text or not 1 <= len(case.messages) <= MOST_MESSAGES):
        return f"it chats: it has 1 to {MOST_MESSAGES} messages, and no 'text'."
    if case.kind == "embed" and (case.messages or case.format is not None or not case.text):
        return "it embeds: it has a 'text', and neither 'messages' nor 'format'."
    if any(len(text) > MOST_TEXT for text in (case.text, *(each.content for each in case.messages))):
        return f"a text has more than {MOST_TEXT} characters."
    for number, check in enumerate(case.checks, 1):
        problem = _problem_of_check(check, case.kind)
        if problem is not None:
            return f"check {number} ({check.kind}): {problem}"
    return None


def _problem_of_check(check: EvaluationCheck, kind: str) -> str | None:
    if kind == "embed" and check.kind != "distance":
        return "a case that embeds has only checks of 'distance'."
    if max(len(check.expected), len(check.criteria)) > MOST_TEXT or len(check.model) > MOST_MODEL:
        return f"a text has more than {MOST_TEXT} characters, or a name of a model more than {MOST_MODEL}."
    if check.kind == "regex":
        return _problem_of_pattern(check.pattern)
    if check.kind == "json_schema":
        return "it needs a 'schema'." if check.schema is None else None
    if check.kind == "judge":
        if not check.model or not check.criteria:
            return "it needs the 'model' that judges, and 'criteria'."
        return None if 1 <= check.least <= BEST_GRADE else f"'least' is from 1 to {BEST_GRADE}."
    if check.kind == "distance":
        if not check.expected:
            return "it needs an 'expected' text."
        if bool(check.model) == (kind == "embed"):
            return "it needs the 'model' that embeds, but for a case that embeds, whose version does."
        return None if 0 <= check.most <= 2 else "'most' is from 0 to 2."
    return None


def compiled(pattern: str) -> Any:
    """RE2: its time is linear in the text, whatever the pattern. Raises `re2.error`."""
    options = re2.Options()
    options.max_mem = _PROGRAM
    options.log_errors = False
    return re2.compile(pattern, options)


def _problem_of_pattern(pattern: str) -> str | None:
    if not pattern or len(pattern) > MOST_PATTERN:
        return f"'pattern' has 1 to {MOST_PATTERN} characters."
    try:
        compiled(pattern)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        told = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"'pattern' is no regular expression of RE2: {told}."
    return None


def _check_schemas(cases: Cases) -> None:
    """Each that differs once, for it takes a while. Raises `InvalidRequest`."""
    found: dict[bytes, tuple[str, dict[str, Any]]] = {}
    for case in cases:
        formats = [case.format] if isinstance(case.format, dict) else []
        for schema in [*formats, *(check.schema for check in case.checks if check.schema is not None)]:
            found.setdefault(_canonical(schema), (case.name, schema))
    if sum(_size(schema) for _, schema in found.values()) > MOST_SCHEMA_PARTS:
        raise InvalidRequest(
            f"The JSON schemas of the cases have more than {MOST_SCHEMA_PARTS} parts together.", param="cases"
        )
    for name, schema in found.values():
        if (problem := _problem_of_schema(schema)) is not None:
            raise InvalidRequest(f"Case '{name}': {problem}", param="cases")


def _size(value: Any) -> int:
    """Objects, lists and values in it."""
    found, left = 0, [value]
    while left:
        found, each = found + 1, left.pop()
        left.extend(each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
    return found


def _problem_of_schema(schema: dict[str, Any]) -> str | None:
    from jsonschema.exceptions import SchemaError  # slow to import, and most processes never check one
    from jsonschema.validators import Draft202012Validator

    try:
        schemas.check_schema(schema)
        Draft202012Validator.check_schema(schema)
    except InvalidRequest as error:
        return error.message
    except SchemaError as error:
        return f"the JSON schema is none: {error.message[:200]}."
    return None
