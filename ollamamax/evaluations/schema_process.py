"""A process that checks one answer against one JSON schema, and ends: ``{"schema", "answer"}`` on stdin, ``{"passed", "detail"}`` or ``{"impossible"}`` on
stdout. The processor time and memory of the check are bounded, and it fetches nothing: a reference that leads out of the schema is impossible."""

from __future__ import annotations

import json
import math
import resource
import sys
from typing import Any

from jsonschema.validators import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

CPU_SECONDS = 4
"""Of one check; what starting took, which the machine decides and not the schema, is not of it."""
MEMORY = 1 << 30
"""Bytes of address space."""
MOST_DETAIL = 500


def main() -> None:
    started = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(started.ru_utime + started.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    json.dump(_checked(json.load(sys.stdin)), sys.stdout)


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = json.loads(given["answer"], parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return {"passed": False, "detail": f"The answer is no JSON: {error}."[:MOST_DETAIL]}
    try:
        validator = Draft202012Validator(given["schema"], registry=Registry())
        misfit = next(validator.iter_errors(answer), None)
    except Unresolvable as problem:
        return {"impossible": f"A reference of the JSON schema leads nowhere: {problem}."[:MOST_DETAIL]}
    except RecursionError:
        return {"impossible": "The JSON schema refers to itself without an end."}
    except MemoryError:
        return {"impossible": "The JSON schema takes too much memory to check."}
    if misfit is None:
        return {"passed": True, "detail": ""}
    return {"passed": False, "detail": f"{misfit.json_path}: {misfit.message}"[:MOST_DETAIL]}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is none of JSON's values")


if __name__ == "__main__":
    main()
