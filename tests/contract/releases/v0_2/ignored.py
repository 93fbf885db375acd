"""Fields of a request that change nothing here: the client is told in a header, the operator in the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

HEADER = b"x-ollamamax-ignored"
MOST_NAMES = 32
MOST_LENGTH = 64
_MORE = "..."


class Ignored:
    """The names that one request's body had in vain, as a path from its top (``options.low_vram``), each once, in order.

    Names come from the client: they are shortened, and what a header cannot hold is replaced.
    """

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        """Of this class alone; others read it."""

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            if len(self.names) > MOST_NAMES:
                return
            self.names[_printable(name) if len(self.names) < MOST_NAMES else _MORE] = None

    def __bool__(self) -> bool:
        return bool(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """None when nothing was ignored."""
        return [(HEADER, ", ".join(self.names).encode())] if self.names else []


def _printable(name: str) -> str:
    short = name if len(name) <= MOST_LENGTH else name[:MOST_LENGTH] + _MORE
    return "".join(each if "!" <= each <= "~" and each != "," else "?" for each in short)
