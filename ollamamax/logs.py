"""Structured logs: one JSON object a line on standard error. No prompts, no secrets; Django is not needed."""

from __future__ import annotations

import logging
import sys

import msgspec
import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _render(_logger: object, _method: str, facts: structlog.typing.EventDict) -> bytes:
    return _encode(facts)


def _render_text(_logger: object, _method: str, facts: structlog.typing.EventDict) -> str:
    return _encode(facts).decode()


def configure(level: str) -> None:
    """Write our own logs and the standard library's in one form, from ``level`` on.

    Ours do not pass through the standard library, which would make up most of what a line costs.
    """
    structlog.configure(
        processors=[*_SHARED, _render],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _render_text,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; events are short snake-case names, facts are keywords."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
