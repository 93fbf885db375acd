"""How a command ends: exit statuses that a pipeline can tell apart, and the one error that carries them."""

from __future__ import annotations

import enum
import json
from typing import IO, Any

import click


class ExitStatus(enum.IntEnum):
    DONE = 0
    REFUSED = 1
    """The server said no, or the job failed."""
    USAGE = 2
    """The command line is wrong, or nobody is logged in. click's own."""
    GATE_FAILED = 3
    """The rollout was taken back, or the score of an evaluation is too low."""
    UNREACHABLE = 4
    """No answer, or none of an OllamaMax."""
    NOT_IN_TIME = 5
    """What was waited for goes on."""
    NEEDS_APPROVAL = 6
    """Others must approve first."""


class CommandFailed(click.ClickException):
    """``code`` is a stable word for programs, the server's own where it gave one. Told as one JSON object where ``--json`` was asked for."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.REFUSED, *, code: str = "") -> None:
        super().__init__(message)
        self.exit_code = int(status)  # type: ignore[misc]  # click reads it of the instance
        self.code = code or status.name.lower()
        context = click.get_current_context(silent=True)
        self.as_json = bool(context and context.meta.get(AS_JSON))

    def show(self, file: IO[Any] | None = None) -> None:
        if not self.as_json:
            super().show(file)
            return
        told = {"code": self.code, "detail": self.message, "exit": self.exit_code}
        click.echo(json.dumps(told), file=file, err=file is None)


AS_JSON = "ollamamax.remote.json"
"""Where a command keeps, in its context, whether it was asked for JSON."""
