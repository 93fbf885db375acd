"""Which pages of other origins may ask (Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol), by Ollama's rules.

Cookies never count here: whoever asks needs a key, which no browser sends by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

_LOCAL = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - names that pages are served under, nothing is bound to them
DEFAULTS = (
    *(f"{scheme}://{host}{port}" for host in _LOCAL for scheme in ("http", "https") for port in ("", ":*")),
    *("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"),
)
"""Those that Ollama always allows: pages of the same machine, and programs that bring their own browser."""
ANY = "*"
_TOKENS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
METHODS = b"GET, HEAD, POST, DELETE, OPTIONS"
COMMON_HEADERS = b"authorization, content-type, x-api-key, x-requested-with"
REMEMBERED_SECONDS = b"600"


class Origins:
    """``more`` are allowed besides `DEFAULTS`: ``*``, or a scheme with a host in which ``*`` stands for any text without a slash."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        allowed = [origin.lower() for origin in (*more, *DEFAULTS)]
        self._any = ANY in allowed
        self._exact = frozenset(origin for origin in allowed if ANY not in origin)
        wild = (re.escape(origin).replace(r"\*", "[^/]*") for origin in allowed if ANY in origin and origin != ANY)
        self._wild = re.compile("|".join(wild))

    def allow(self, origin: str) -> bool:
        origin = origin.lower()
        return self._any or origin in self._exact or self._wild.fullmatch(origin) is not None

    def headers(self, origin: str) -> Headers:
        """Of any response to a page of ``origin``: without the first of them its browser keeps the answer from it."""
        vary = [(b"vary", b"origin")]
        if not self.allow(origin):
            return vary
        said = b"*" if self._any else origin.encode("latin-1")
        return [(b"access-control-allow-origin", said), (b"access-control-expose-headers", b"*"), *vary]

    def preflight(self, origin: str, wanted: str | None) -> Headers:
        """Of the answer to the question whether the page may ask; ``wanted`` are the headers it wants to send."""
        headers = self.headers(origin)
        if not self.allow(origin):
            return headers
        named = wanted.encode("latin-1") if wanted and _TOKENS.fullmatch(wanted) else COMMON_HEADERS
        return [
            *headers,
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", named),
            (b"access-control-max-age", REMEMBERED_SECONDS),
        ]
