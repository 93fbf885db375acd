"""The forms that the texts of settings have: each parses one, or makes what parses one, and raises ``ValueError``."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

REDIS = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[^\s,:/@?\[\]]+)(?::[0-9]{1,5})?"
_SENTINELS = re.compile(rf"rediss?\+sentinel://(?:[^@/\s]*@)?{_HOST}(?:,{_HOST})*/[^/?#\s]+(?:/[0-9]*)?(?:\?\S*)?")


def url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if urlsplit(text).scheme not in schemes:
            raise ValueError(f"must be a URL that starts with {', '.join(s + '://' for s in schemes)}")
        return text

    return parse


def redis_url(text: str) -> str:
    """One server, or the Sentinels that name it (`ollamamax.bus.sentinels`)."""
    url(*REDIS)(text)
    if "+sentinel:" in text and _SENTINELS.fullmatch(text) is None:
        raise ValueError("must be as redis+sentinel://user:password@s1:26379,s2:26379,s3:26379/SERVICE/0")
    return text


def postgres_url(text: str) -> str:
    """One host or several, of which it is the one that may be written, whatever reads the address."""
    url("postgres", "postgresql")(text)
    parts = urlsplit(text)
    if "," not in parts.netloc.rpartition("@")[2] or "target_session_attrs" in parts.query:
        return text
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, "target_session_attrs=read-write")))))


def bucket(text: str) -> tuple[str, str]:
    """A bucket's name, and the words that all keys in it begin with."""
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9._-]+)*)/?", text)
    if found is None or ".." in text:
        raise ValueError("must be a bucket such as s3://models or s3://models/ollamamax")
    return found[1], found[2].lstrip("/")


def integer(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if not least <= value <= most:
            raise ValueError(f"must be between {least} and {most}")
        return value

    return parse


COUNT = integer(1, 10_000_000)


def flag(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("must be 1 or 0")


def names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(part) for part in names(text)]
    except ValueError:
        raise ValueError("must be networks such as 10.1.0.0/16 or fd12::/48, separated by commas") from None


def origins(text: str) -> list[str]:
    origins = names(text)
    for origin in origins:
        if origin != "*" and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s*]*\*?[^/\s*]*", origin) is None:
            raise ValueError(f"has {origin!r}, which is no origin such as https://chat.example, https://*.example or *")
    return origins


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def region(text: str) -> str:
    if re.fullmatch(r"[a-z0-9-]{0,63}", text) is None:
        raise ValueError("must have up to 63 small letters, digits and hyphens")
    return text


def regions(text: str) -> dict[str, str]:
    """Name -> address of its Redis."""
    found: dict[str, str] = {}
    # An address that names Sentinels has commas of its own.
    for part in filter(None, re.split(r",\s*(?=[^,=/?&@]*=|$)", text.strip())):
        name, _, address = part.strip().partition("=")
        if not name or name in found or urlsplit(address).scheme not in REDIS:
            raise ValueError(
                "must be as eu=rediss://user:password@redis.eu:6379/0, each region once, separated by commas"
            )
        found[region(name)] = redis_url(address)
    return found


def share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError("must be a number from 0 to 1")
    return value


def tenant_shares(text: str) -> dict[str, float]:
    """Tenant's id -> its share."""
    found = {}
    for part in names(text):
        tenant, _, value = part.partition("=")
        if re.fullmatch(r"[0-9a-f]{32}", tenant) is None:
            raise ValueError("must be as ID=0.5, with ids of tenants, separated by commas")
        found[tenant] = share(value)
    return found


def http_headers(text: str) -> dict[str, str]:
    """Name -> value."""
    found = {}
    for part in names(text):
        name, equals, value = part.partition("=")
        if not equals or re.fullmatch(r"[A-Za-z0-9-]+", name) is None or not value.isprintable():
            raise ValueError("must be as NAME=VALUE, separated by commas")
        found[name] = value
    return found


def currency(text: str) -> str:
    if re.fullmatch(r"[A-Z]{3}", text) is None:
        raise ValueError("must have three capital letters")
    return text


def box_keys(text: str) -> list[bytes]:
    """Each of 32 bytes."""
    try:
        keys = [base64.b64decode(part, validate=True) for part in names(text)]
    except binascii.Error:
        keys = [b""]
    if any(len(key) != 32 for key in keys):
        raise ValueError("must be keys of 32 bytes in base64, separated by commas")
    return keys


def address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, IPv6 addresses in brackets; port 0 stands for any free one."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError("must be an address as 127.0.0.1:9464 or [::1]:9464")
    return host, int(port)


def public_keys(text: str) -> list[str]:
    """Ed25519's, separated by commas, in lower case."""
    found = [each.strip().lower() for each in text.split(",") if each.strip()]
    for each in found:
        if len(each) != 64 or set(each) - set("0123456789abcdef"):
            raise ValueError("each is 64 hexadecimal digits, as `ollamamax audit key` says them")
    return found


def token(text: str) -> str:
    if len(text) < 20 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must have at least 20 characters, without spaces")
    return text


def secret_key(text: str) -> str:
    if len(text) < 50:
        raise ValueError("must have at least 50 characters")
    return text
