"""Which addresses an application may be registered with. Pure. Whether one of a request is registered is a comparison of texts, and nothing else."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from ollamamax.kernel.errors import InvalidRequest

LONGEST = 500
MOST = 20
_TEXT = re.compile(rf"[\x21-\x7e]{{1,{LONGEST}}}")
_OF_AN_APP = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
"""A scheme of a program on somebody's own machine: the reverse of a domain's name (RFC 8252, section 7.1)."""


def checked_redirects(given: Sequence[str], *, public: bool, http: bool, param: str) -> list[str]:
    """``public``: of a program without a secret, which may have a scheme of its own. ``http``: whether addresses without TLS are taken from any host;
    from the machine's own they always are. Raises `InvalidRequest`.
    """
    if len(given) > MOST:
        raise InvalidRequest(f"An application has at most {MOST} of these addresses.", param=param)
    for each in given:
        _check(each, public=public, http=http, param=param)
    return list(dict.fromkeys(given))


def _check(text: str, *, public: bool, http: bool, param: str) -> None:
    if not _TEXT.fullmatch(text) or "\\" in text or "*" in text:
        raise InvalidRequest(
            f"An address has 1 to {LONGEST} printable characters of ASCII, and stands for itself alone.", param=param
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidRequest("This is no address.", param=param) from None
    if "#" in text or "@" in parts.netloc:
        raise InvalidRequest("An address holds neither a fragment nor a user.", param=param)
    if public and _OF_AN_APP.fullmatch(parts.scheme):
        return
    if parts.scheme not in {"https", "http"} or not host or port == 0:
        raise InvalidRequest("An address begins with https:// and names a host.", param=param)
    if parts.scheme == "http" and not http and not is_own_machine(host):
        raise InvalidRequest("An address begins with https://, but on the user's own machine.", param=param)


def is_own_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
