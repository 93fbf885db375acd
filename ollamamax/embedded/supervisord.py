"""supervisord, whose log files are off its life line: what cannot be written is dropped, and it goes on.

``python -m ollamamax.embedded.supervisord ARGUMENTS``, as `supervisor.supervisord`. The original ends when a log of its
own or of a child cannot be written, and everything with it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from supervisor import loggers, supervisord


class _Patient(loggers.RotatingFileHandler):  # type: ignore[misc]
    """Loses lines while the disk is full, and writes those that come when there is room again."""

    def emit(self, record: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self.stream.closed:  # type: ignore[has-type]  # a file that could not be turned over
                self.stream = Path(self.baseFilename).open(self.mode)  # noqa: SIM115 - its handler closes it
            super().emit(record)

    def handleError(self) -> None:  # noqa: N802 - supervisor's name
        """The original prints the error, on a stream that may lie on the same disk."""


def main() -> None:
    loggers.RotatingFileHandler = _Patient
    supervisord.main()


if __name__ == "__main__":
    main()
