"""Reads the Go templates (https://pkg.go.dev/text/template) that Ollama's models come with: text into a tree. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from ollamamax.kernel.errors import InvalidRequest

MOST_BYTES = 256 << 10
_DEEPEST = 60
_MOST_TOKENS = 500
"""Of one action; those of the models in use have a few dozen."""
# Possessive throughout: a text that is no template is looked at once, not once for every way to read it.
_REST_OF_ACTION = re.compile(
    r"(?P<body>(?:\"(?:\\.|[^\"\\])*+\"|`[^`]*+`|'(?:\\.|[^'\\])++'|[^\"`'}]++|\}(?!\}))*+)\}\}", re.DOTALL
)
_BEGINS_COMMENT = re.compile(r"\s*+/\*")
_COMMENT = re.compile(r"\s*+/\*.*?\*/(?P<right>\s++-)?+\s*+\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<char>'(?:\\.|[^'\\])+')|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<variable>\$\w*)|(?P<field>\.\w+)|(?P<word>\w+)|(?P<sign>:=|=|\||\(|\)|,|\.))"""
)


class TemplateProblem(InvalidRequest):
    def __init__(self, why: str) -> None:
        super().__init__(f"template error: {why}", param="template")


@dataclass(frozen=True)
class Constant:
    value: Any


@dataclass(frozen=True)
class Path:
    """``start`` is ``""`` for the dot, ``$name`` for a variable, or an expression; then fields."""

    start: Any
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class FunctionCall:
    name: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class OutputAction:
    value: Any


@dataclass(frozen=True)
class Assign:
    variable: str
    value: Any
    declares: bool


@dataclass(frozen=True)
class Jump:
    """``break`` or ``continue``."""

    word: str


@dataclass
class Block:
    """``if``, ``with`` or ``range``; ``otherwise`` are the nodes of ``else``."""

    word: str
    value: Any
    variables: tuple[str, ...] = ()
    body: list[Any] = field(default_factory=list)
    otherwise: list[Any] = field(default_factory=list)


FUNCTIONS = frozenset(
    ["and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "json", "print", "currentDate"]
)
_CLOSING = frozenset({"end", "else"})


def parse(text: str) -> list[Any]:
    """The nodes of a template: strings, and the classes above. Raises `TemplateProblem`."""
    if len(text.encode()) > MOST_BYTES:
        raise TemplateProblem(f"it is longer than {MOST_BYTES} bytes")
    parser = _Parser(_pieces(text))
    nodes, closing = parser.nodes(0)
    if closing:
        raise TemplateProblem(f"unexpected {{{{{closing}}}}}")
    return nodes


def _pieces(text: str) -> list[tuple[bool, str]]:
    """Text and actions in turn, white space trimmed where the actions say so; comments are gone."""
    pieces: list[tuple[bool, str]] = []
    at, trims = 0, False
    while (found := text.find("{{", at)) >= 0:
        before = text[at:found]
        before = before.lstrip() if trims else before
        begin = found + 2
        if text[begin : begin + 1] == "-" and text[begin + 1 : begin + 2].isspace():
            before, begin = before.rstrip(), begin + 1
        pieces.append((False, before))
        if _BEGINS_COMMENT.match(text, begin):
            action = _COMMENT.match(text, begin)
            if action is None:
                raise TemplateProblem("unclosed comment")
            trims = action["right"] is not None
        else:
            action = _REST_OF_ACTION.match(text, begin)
            if action is None:
                raise TemplateProblem("unclosed action")
            body = action["body"]
            trims = body[-1:] == "-" and body[-2:-1].isspace()
            pieces.append((True, body[: -1 if trims else None].strip()))
        at = action.end()
    rest = text[at:]
    pieces.append((False, rest.lstrip() if trims else rest))
    return [(is_action, piece) for is_action, piece in pieces if is_action or piece]


class _Parser:
    def __init__(self, pieces: list[tuple[bool, str]]) -> None:
        self._pieces = pieces
        self._at = 0

    def nodes(self, depth: int) -> tuple[list[Any], str]:
        """Nodes up to an action that closes, and that action; ``""`` at the end of the text."""
        if depth > _DEEPEST:
            raise TemplateProblem("it is nested too deeply")
        found: list[Any] = []
        while self._at < len(self._pieces):
            is_action, text = self._pieces[self._at]
            self._at += 1
            if not is_action:
                found.append(text)
                continue
            word = text.split(None, 1)[0] if text else ""
            if word in _CLOSING:
                return found, text
            if word in {"if", "with", "range"}:
                found.append(self._block(word, text.removeprefix(word), depth))
            elif text in {"break", "continue"}:
                found.append(Jump(text))
            else:
                found.append(_statement(text))
        return found, ""

    def _block(self, word: str, text: str, depth: int) -> Block:
        tokens = _tokens(text)
        variables: tuple[str, ...] = ()
        if word == "range" and any(token == ("sign", ":=") for token in tokens):
            split = tokens.index(("sign", ":="))
            variables = tuple(value for kind, value in tokens[:split] if kind == "variable")
            tokens = tokens[split + 1 :]
        elif len(tokens) > 2 and tokens[0][0] == "variable" and tokens[1] == ("sign", ":="):
            variables, tokens = (tokens[0][1],), tokens[2:]
        block = Block(word, _whole(tokens), variables)
        block.body, closing = self.nodes(depth + 1)
        if closing.startswith("else"):
            rest = closing.removeprefix("else").strip()
            if rest:
                inner = rest.split(None, 1)[0]
                if inner not in {"if", "with"}:
                    raise TemplateProblem(f"unexpected {rest!r} after else")
                # ``else if`` shares its ``end`` with the ``if`` before it.
                block.otherwise = [self._block(inner, rest.removeprefix(inner), depth + 1)]
                return block
            block.otherwise, closing = self.nodes(depth + 1)
        if closing != "end":
            raise TemplateProblem(f"{{{{{word}}}}} without {{{{end}}}}")
        return block


def _statement(text: str) -> OutputAction | Assign:
    tokens = _tokens(text)
    if len(tokens) > 2 and tokens[0][0] == "variable" and tokens[1] in {("sign", ":="), ("sign", "=")}:
        return Assign(tokens[0][1], _whole(tokens[2:]), tokens[1][1] == ":=")
    return OutputAction(_whole(tokens))


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            raise TemplateProblem(f"cannot read {text[at:][:40]!r}")
        found.append((token.lastgroup, token[token.lastgroup]))
        if len(found) > _MOST_TOKENS:
            raise TemplateProblem(f"an action has more than {_MOST_TOKENS} parts")
        # A field right after a closing parenthesis or a path belongs to it; one after a space is an argument.
        if token.lastgroup == "field" and token.start("field") == at and len(found) > 1:
            found[-1] = ("member", found[-1][1])
        at = token.end()
    return found


def _whole(tokens: list[tuple[str, str]]) -> Any:
    value, rest = _pipeline(tokens, 0)
    if rest:
        raise TemplateProblem(f"unexpected {rest[0][1]!r}")
    return value


def _pipeline(tokens: list[tuple[str, str]], depth: int) -> tuple[Any, list[tuple[str, str]]]:
    value, rest = _command(tokens, depth)
    piped = 0
    while rest and rest[0] == ("sign", "|"):
        piped += 1
        if piped > _DEEPEST:
            raise TemplateProblem("it is nested too deeply")
        following, rest = _command(rest[1:], depth)
        if not isinstance(following, FunctionCall):
            raise TemplateProblem("only a function can follow '|'")
        value = FunctionCall(following.name, (*following.arguments, value))
    return value, rest


def _command(tokens: list[tuple[str, str]], depth: int) -> tuple[Any, list[tuple[str, str]]]:
    if not tokens:
        raise TemplateProblem("an action has no value")
    kind, text = tokens[0]
    if kind != "word" or text in {"true", "false", "nil"}:
        return _operand(tokens, depth)
    if text not in FUNCTIONS:
        raise TemplateProblem(f"function {text!r} not defined")
    arguments, rest = [], tokens[1:]
    while rest and rest[0] not in {("sign", "|"), ("sign", ")")}:
        argument, rest = _operand(rest, depth)
        arguments.append(argument)
    return FunctionCall(text, tuple(arguments)), rest


def _operand(tokens: list[tuple[str, str]], depth: int) -> tuple[Any, list[tuple[str, str]]]:
    (kind, text), rest = tokens[0], tokens[1:]
    value: Any
    if depth > _DEEPEST:
        raise TemplateProblem("it is nested too deeply")
    if (kind, text) == ("sign", "("):
        value, rest = _pipeline(rest, depth + 1)
        if not rest or rest[0] != ("sign", ")"):
            raise TemplateProblem("unclosed parenthesis")
        rest = rest[1:]
    elif kind in {"string", "char", "number"} or text in {"true", "false", "nil"}:
        return Constant(_constant(kind, text)), rest
    elif kind == "variable":
        value = Path(text)
    elif kind in {"field", "member"}:
        value = Path("", (text[1:],))
    elif (kind, text) == ("sign", "."):
        value = Path("")
    elif kind == "word" and text in FUNCTIONS:
        return FunctionCall(text), rest
    else:
        raise TemplateProblem(f"unexpected {text!r}")
    fields = []
    while rest and rest[0][0] == "member":
        fields.append(rest[0][1][1:])
        rest = rest[1:]
    if not fields:
        return value, rest
    if isinstance(value, Path):
        return Path(value.start, (*value.fields, *fields)), rest
    return Path(value, tuple(fields)), rest


def _constant(kind: str, text: str) -> Any:
    if kind == "number":
        return float(text) if "." in text else int(text)
    if kind == "string" and text[0] == "`":
        return text[1:-1]
    if kind == "string":
        try:
            return json.loads(text, strict=False)
        except ValueError:
            raise TemplateProblem(f"cannot read the text {text[:40]}") from None
    if kind == "char":
        return ord(text[1])
    return {"true": True, "false": False}.get(text)
