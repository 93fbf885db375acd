"""Structured logs: one JSON object a line on standard error. No prompts, no secrets; Django is not needed.

Lines below `warning` are written together with what comes in the next tenth of a second (`ollamamax.log_lines`).
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Literal

import msgspec
import structlog

from ollamamax.log_lines import LogLines

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_ACTS = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
"""What JSON leaves as it is and a terminal obeys, or shows in another order: control characters beyond ASCII's, marks of direction, ends of lines."""
_lines = LogLines()
_lowest = logging.WARNING
"""The standard library's, until somebody configures it."""
_request: ContextVar[str] = ContextVar("request_id", default="")


class _Ours:
    """What structlog hands lines to."""

    def __init__(self, name: str) -> None:
        self.name = name

    debug = info = staticmethod(_lines.gather)
    warning = error = critical = staticmethod(_lines.write)


class LoggedFacts(msgspec.Struct, omit_defaults=True):
    """The facts of a line that is logged so often that its cost counts, as one object: `gather` takes a quarter of what a logger takes for the same
    facts. A field at its default is left out."""

    event: str
    logger: str
    level: Literal["info"]
    timestamp: datetime.datetime


def gather(facts: LoggedFacts) -> None:
    """Log it, unless only graver ones are."""
    if _lowest <= logging.INFO:
        _lines.gather(_encoded(facts))


class _Theirs(logging.Handler):
    """What the standard library hands records to."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write = _lines.write if record.levelno >= logging.WARNING else _lines.gather
            facts: structlog.typing.EventDict = {"event": record.getMessage()}
            if record.exc_info:
                facts["exc_info"] = record.exc_info
            if record.stack_info:
                facts["stack_info"] = record.stack_info
            write(_line(record, record.levelname.lower(), facts))
        except Exception:  # noqa: BLE001 - as every handler of the standard library
            self.handleError(record)


def _line(says: _Ours | logging.LogRecord, level: str, facts: structlog.typing.EventDict) -> bytes:
    """Add who says it, how grave it is and when. In one step: with one for each, a line costs half as much again."""
    if request := _request.get():
        facts.setdefault("request_id", request)
    facts["level"] = level
    facts["logger"] = says.name
    facts["timestamp"] = datetime.datetime.now(datetime.UTC)
    if "exc_info" in facts:
        facts = structlog.processors.format_exc_info(None, level, facts)
    return _encoded(facts)


def _encoded(facts: LoggedFacts | structlog.typing.EventDict) -> bytes:
    try:
        line = _encode(facts)
    except UnicodeEncodeError:  # half of a pair, which no UTF-8 has
        line = json.dumps(msgspec.to_builtins(facts), default=repr).encode()
    if not line.isascii() or b"\x7f" in line:
        line = _ACTS.sub(_escaped, line)
    return line + b"\n"


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


@contextlib.contextmanager
def about(request: str) -> Iterator[None]:
    """Whatever is logged meanwhile, here and in tasks that begin here, has the ``request_id``."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def configure(level: str) -> None:
    """Write our own logs and the standard library's in one form, from ``level`` on.

    Ours do not pass through the standard library, which would make up most of what a line costs.
    """
    global _lowest
    _lowest = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[_line],
        logger_factory=_Ours,
        wrapper_class=structlog.make_filtering_bound_logger(_lowest),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Theirs()]
    root.setLevel(level.upper())
    _lines.tell_lost = lambda count: _line(_Ours(__name__), "error", {"event": "log_lines_lost", "count": count})
    _lines.flush_before_sigterm_ends_us()


def tell_too(hear: Callable[[bytes], None]) -> None:
    """Tell each line, as it is written, to ``hear`` too. It must not log."""
    _lines.hear = hear


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; events are short snake-case names, facts are keywords."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
