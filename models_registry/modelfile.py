"""Modelfiles (https://docs.ollama.com/modelfile), read and written as Ollama's ``parser/parser.go`` does. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ollamamax.kernel.errors import InvalidRequest

COMMANDS = frozenset(
    {
        *("from", "license", "template", "system", "adapter", "draft"),
        *("renderer", "parser", "parameter", "message", "requires"),
    }
)
ROLES = frozenset({"system", "user", "assistant"})
_SPACES, _NEWLINES = " \t", "\r\n"
_MANY = '"""'


@dataclass(frozen=True, slots=True)
class Instruction:
    """``name`` in small letters; for ``parameter`` and ``message``, ``key`` is which one, or whose."""

    name: str
    value: str
    key: str = ""

    def __str__(self) -> str:
        words = [self.name.upper(), self.key, quoted(self.value)]
        return " ".join(word for word in words if word)


def quoted(text: str) -> str:
    """``text`` as it can stand behind a command. What holds three quotes at the end of a line cannot be written."""
    plain = text and text == text.strip() and not text.startswith('"') and not any(each in text for each in _NEWLINES)
    if plain:
        return text
    return f'"{text}"' if '"' not in text else f"{_MANY}{text}{_MANY}"


def written(commands: Iterable[Instruction]) -> str:
    return "".join(f"{command}\n" for command in commands)


class _State(Enum):
    BETWEEN = auto()
    COMMENT = auto()
    NAME = auto()
    KEY = auto()
    VALUE = auto()


def parse(text: str) -> list[Instruction]:
    """Raises `InvalidRequest` in Ollama's words, with the line."""
    found: list[Instruction] = []
    state, read, name, key, line = _State.BETWEEN, "", "", "", 1
    for each in text.removeprefix("\ufeff"):
        line += each == "\n"
        if state is _State.BETWEEN:
            if each in _SPACES + _NEWLINES:
                continue
            state, read, name, key = (_State.COMMENT, "", "", "") if each == "#" else (_State.NAME, each, "", "")
        elif state is _State.COMMENT:
            state = _State.BETWEEN if each in _NEWLINES else state
        elif state in {_State.NAME, _State.KEY}:
            if each in _SPACES:
                state, name, key = _named(state, read, name, line)
                read = ""
            elif each in _NEWLINES or (state is _State.NAME and not (each.isascii() and each.isalpha())):
                raise _problem(line, _WHICH)
            else:
                read += each
        elif each in _NEWLINES and (value := _unquoted(read.strip())) is not None:
            found.append(Instruction(name, value, key))
            state = _State.BETWEEN
        else:
            read += each
    if state is _State.VALUE:
        value = _unquoted(read.strip())
        if value is None:
            raise _problem(line, f"unexpected EOF: {read[:50]}")
        found.append(Instruction(name, value, key))
    elif state in {_State.NAME, _State.KEY}:
        raise _problem(line, "unexpected EOF")
    if not any(command.name == "from" for command in found):
        raise InvalidRequest("no FROM line", param="modelfile")
    return found


_WHICH = f"command must be one of {', '.join(sorted(COMMANDS))}"


def _named(state: _State, read: str, name: str, line: int) -> tuple[_State, str, str]:
    """What follows a word, the command, and its key. Raises `InvalidRequest`."""
    if state is _State.NAME:
        name = read.lower()
        if name not in COMMANDS:
            raise _problem(line, _WHICH)
        return (_State.KEY if name in {"parameter", "message"} else _State.VALUE), name, ""
    if not read:
        return _State.KEY, name, ""
    if name == "message" and read not in ROLES:
        raise _problem(line, f"message role must be one of {', '.join(sorted(ROLES))}")
    return _State.VALUE, name, read


def _unquoted(text: str) -> str | None:
    """``None`` for one whose closing quotes are still to come."""
    for mark in (_MANY, '"'):
        if text.startswith(mark):
            ends = len(text) >= 2 * len(mark) and text.endswith(mark)
            return text[len(mark) : -len(mark)] if ends else None
    return text


def _problem(line: int, text: str) -> InvalidRequest:
    return InvalidRequest(f"(line {line}): {text}", param="modelfile")


def as_fields(commands: Iterable[Instruction]) -> dict[str, Any]:
    """The fields of ``/api/create`` that say the same. What stands in ``FROM`` and ``ADAPTER`` as ``@sha256:…`` is a blob.

    Values of parameters are text. Raises `InvalidRequest`.
    """
    found: dict[str, Any] = {}
    for command in commands:
        digest = command.value.removeprefix("@") if command.value.startswith("@sha256") else ""
        if command.name in {"from", "adapter"} and digest:
            field = "files" if command.name == "from" else "adapters"
            found.setdefault(field, {})[f"{len(found.get(field, {}))}.gguf"] = digest.replace("-", ":", 1)
        elif command.name == "adapter":
            raise InvalidRequest("send the adapter as a blob, and name it as @sha256:…", param="modelfile")
        elif command.name == "license":
            found.setdefault("license", []).append(command.value)
        elif command.name == "message":
            found.setdefault("messages", []).append({"role": command.key, "content": command.value})
        elif command.name == "parameter":
            given = found.setdefault("parameters", {})
            given.setdefault(command.key, []).append(command.value)
        else:
            found[command.name] = command.value
    return found
