"""Renders a conversation with the Go template of a model, as Ollama does, into the text that the model reads. Pure."""

from __future__ import annotations

import datetime
import json
from functools import lru_cache
from typing import Any

from cluster.engines.template_syntax import (
    Assign,
    Block,
    Constant,
    FunctionCall,
    Jump,
    OutputAction,
    Path,
    TemplateProblem,
    parse,
)

MOST_STEPS = 500_000
"""Nodes that one rendering may visit: a template comes from a tenant, loops over what a request holds, and is rendered where
others' streams wait. That takes a third of a second."""
STEPS, STEPS_OF_MESSAGE = 100_000, 100
"""What is allowed below that, and for each message besides; templates in use visit up to 60 nodes for a message."""
MOST_TEXT = 16 << 20
"""Characters that one rendering may make, in the prompt and on the way to it; no model reads as many."""
_CHARACTERS_OF_STEP = 64
"""To write so much JSON takes as long as a step."""
_COPIED_OF_STEP = 1024
"""So does copying or comparing so much of a text or a list."""


def is_jinja(text: str) -> bool:
    """Such a template is llama.cpp's own kind, and is given to it as it is."""
    return "{%" in text


class Template:
    """Raises `TemplateProblem` for a text that is no template, or uses what is not known here."""

    def __init__(self, text: str) -> None:
        self._nodes: list[Any] = [] if is_jinja(text) else parse(text)
        names: set[str] = _fields(self._nodes)
        self._whole = "Messages" in names
        self.thinks = bool(names & {"Think", "Thinking"}) or "<think>" in text
        if not is_jinja(text) and not self._whole and "Response" not in names:
            self._nodes.append(OutputAction(Path("", ("Response",))))

    def render(self, messages: list[dict[str, Any]], today: datetime.date) -> str:
        """The prompt for OpenAI's ``messages``, up to where the answer begins. Raises `TemplateProblem`."""
        given: list[dict[str, Any]] = [
            {"Role": _role(m), "Content": _text(m), "ToolCalls": [], "Thinking": ""} for m in messages
        ]
        run = _Run(today, min(MOST_STEPS, STEPS + STEPS_OF_MESSAGE * len(given)))
        if self._whole:
            system = "\n\n".join(m["Content"] for m in given if m["Role"] == "system")
            run.render(self._nodes, {"Messages": given, "System": system, "Response": "", "Prompt": ""})
        else:
            self._by_turns(run, given)
        return "".join(run.out)

    def _by_turns(self, run: _Run, messages: list[dict[str, Any]]) -> None:
        """For a template of one turn (``.System``, ``.Prompt``, ``.Response``): once for each, the last left open."""
        turn = {"System": "", "Prompt": "", "Response": ""}
        later = {"system": ("Prompt", "Response"), "user": ("Response",), "assistant": ()}
        slots = {"system": "System", "user": "Prompt", "assistant": "Response"}
        for message in messages:
            role = message["Role"] if message["Role"] in slots else "user"
            if any(turn[slot] for slot in later[role]):
                run.render(self._nodes, turn)
                turn = dict.fromkeys(turn, "")
            turn[slots[role]] = message["Content"]
        run.render(_until_response(self._nodes)[0], turn)
        # What the answer begins with, when the last message is the assistant's own.
        run.write(turn["Response"])


_TRIAL = [{"role": role, "content": "x"} for role in ("system", "user", "assistant", "user")]


def try_out(text: str) -> None:
    """Raises `TemplateProblem` for what is no template, or cannot render a short conversation. llama.cpp's own kind is for the engine to try."""
    template = Template(text)
    if not is_jinja(text):
        template.render(_TRIAL, datetime.date(2026, 1, 1))


@lru_cache(maxsize=64)
def _tried(text: str) -> Template | TemplateProblem:
    try:
        try_out(text)
    except TemplateProblem as error:
        return error
    return Template(text)


def template_of(text: str) -> Template:
    """The template of a text, read and tried once. Raises what `try_out` raises."""
    found = _tried(text)
    if isinstance(found, TemplateProblem):
        raise found.with_traceback(None)
    return found


def _role(message: dict[str, Any]) -> str:
    role = message.get("role", "user")
    return "system" if role == "developer" else str(role)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content if part.get("type") == "text")


def _fields(node: Any) -> set[str]:
    """Every first field that a tree reads."""
    if isinstance(node, list | tuple):
        return {name for each in node for name in _fields(each)}
    if isinstance(node, Path):
        return {*node.fields[:1], *_fields(node.start)}
    if isinstance(node, FunctionCall):
        return _fields(node.arguments)
    if isinstance(node, OutputAction | Assign):
        return _fields(node.value)
    if isinstance(node, Block):
        return _fields(node.value) | _fields(node.body) | _fields(node.otherwise)
    return set()


def _until_response(nodes: list[Any]) -> tuple[list[Any], bool]:
    """The nodes before the one that writes the response, and whether there was one."""
    kept: list[Any] = []
    for node in nodes:
        if isinstance(node, OutputAction) and "Response" in _fields(node):
            return kept, True
        if isinstance(node, Block):
            body, cut = _until_response(node.body)
            if cut:
                # What guards the response must not hide what stands before it.
                return kept + body, True
        kept.append(node)
    return kept, False


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Run:
    def __init__(self, today: datetime.date, most_steps: int) -> None:
        self.out: list[str] = []
        self._today = today
        self._steps = most_steps
        self._text = MOST_TEXT

    def write(self, text: str) -> None:
        self._make(text)
        self.out.append(text)

    def _make(self, text: str) -> None:
        self._text -= len(text)
        if self._text < 0:
            raise TemplateProblem(f"it makes more than {MOST_TEXT >> 20} million characters")

    def _spend(self, steps: int = 1) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise TemplateProblem("it takes too many steps for what it was given")

    def render(self, nodes: list[Any], data: dict[str, Any]) -> None:
        try:
            self._nodes(nodes, data, [{"$": data}])
        except (_Break, _Continue):
            raise TemplateProblem("break or continue outside a range") from None
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise TemplateProblem(str(error)) from None

    def _nodes(self, nodes: list[Any], dot: Any, scopes: list[dict[str, Any]]) -> None:
        for node in nodes:
            self._spend()
            if isinstance(node, str):
                self.write(node)
            elif isinstance(node, OutputAction):
                self.write(self._shown(self._value(node.value, dot, scopes)))
            elif isinstance(node, Assign):
                self._assign(node, self._value(node.value, dot, scopes), scopes)
            elif isinstance(node, Jump):
                raise _Break if node.word == "break" else _Continue
            elif isinstance(node, Block):
                self._block(node, dot, scopes)

    def _assign(self, node: Assign, value: Any, scopes: list[dict[str, Any]]) -> None:
        if not node.declares:
            for scope in reversed(scopes):
                if node.variable in scope:
                    scope[node.variable] = value
                    return
            raise TemplateProblem(f"undefined variable {node.variable}")
        scopes[-1][node.variable] = value

    def _block(self, node: Block, dot: Any, scopes: list[dict[str, Any]]) -> None:
        value = self._value(node.value, dot, scopes)
        if not value:
            self._nodes(node.otherwise, dot, [*scopes, {}])
        elif node.word == "range":
            self._range(node, value, scopes)
        else:
            inner = {node.variables[0]: value} if node.variables else {}
            self._nodes(node.body, value if node.word == "with" else dot, [*scopes, inner])

    def _range(self, node: Block, value: Any, scopes: list[dict[str, Any]]) -> None:
        pairs = sorted(value.items()) if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            self._spend()
            names = node.variables
            inner = dict(zip(names, (key, item), strict=False)) if len(names) > 1 else dict.fromkeys(names, item)
            try:
                self._nodes(node.body, item, [*scopes, inner])
            except _Continue:
                continue
            except _Break:
                break

    def _value(self, node: Any, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        self._spend()
        if isinstance(node, Constant):
            return node.value
        if isinstance(node, FunctionCall):
            return self._call(node, dot, scopes)
        value: Any
        if node.start == "":
            value = dot
        elif isinstance(node.start, str):
            value = _variable(node.start, scopes)
        else:
            value = self._value(node.start, dot, scopes)
        for name in node.fields:
            if value is not None and not isinstance(value, dict):
                raise TemplateProblem(f"can't evaluate field {name}")
            value = (value or {}).get(name)
        return value

    def _call(self, node: FunctionCall, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        if node.name in {"and", "or"}:
            result: Any = None
            for argument in node.arguments:
                result = self._value(argument, dot, scopes)
                if bool(result) == (node.name == "or"):
                    break
            return result
        arguments = [self._value(argument, dot, scopes) for argument in node.arguments]
        if node.name == "currentDate":
            return self._today.isoformat()
        if node.name == "json":
            return self._json(arguments[0] if arguments else None)
        if node.name == "print":
            text = "".join(self._shown(each) for each in arguments)
            self._make(text)
            return text
        self._spend(sum(len(each) for each in arguments if isinstance(each, str | list)) // _COPIED_OF_STEP)
        return _apply(node.name, arguments)

    def _json(self, value: Any) -> str:
        text = json.dumps(value, ensure_ascii=False)
        self._spend(len(text) // _CHARACTERS_OF_STEP)
        self._make(text)
        return text

    def _shown(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else self._json(value)


def _variable(name: str, scopes: list[dict[str, Any]]) -> Any:
    for scope in reversed(scopes):
        if name in scope:
            return scope[name]
    raise TemplateProblem(f"undefined variable {name}")


_COMPARING = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})


def _apply(name: str, arguments: list[Any]) -> Any:
    first: Any = arguments[0] if arguments else None
    if name in _COMPARING and isinstance(first, list | dict) and any(isinstance(o, list | dict) for o in arguments[1:]):
        raise TemplateProblem(f"error calling {name}: non-comparable type")  # as in Go
    match name:
        case "not":
            return not first
        case "eq":
            return any(first == other for other in arguments[1:])
        case "ne":
            return first != arguments[1]
        case "lt":
            return first < arguments[1]
        case "le":
            return first <= arguments[1]
        case "gt":
            return first > arguments[1]
        case "ge":
            return first >= arguments[1]
        case "len":
            return len(first if first is not None else ())
        case "index":
            for key in arguments[1:]:
                first = first[key]
            return first
        case "slice":
            begin, end = [*arguments[1:], None, None][:2]
            return first[begin:end]
    raise TemplateProblem(f"function {name!r} not defined")
