"""Names of models in registries, and the registries that this installation speaks to. Pure.

A tenant's key must not make the server fetch any address it likes: only what is listed is spoken to.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import asdict, dataclass
from typing import Any

from ollamamax.kernel.errors import Forbidden, InvalidRequest

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Reference:
    """``name`` is what the model is called here: the defaults left out, as in Ollama."""

    scheme: str
    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str, *, insecure: bool = False) -> Reference:
        """``[http[s]://][host[:port]/][namespace/]model[:tag]``. Raises `InvalidRequest`.

        Plain HTTP is for loopback, or for who says ``insecure``.
        """
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "", text
        *before, last = rest.split("/")
        model, colon, tag = last.partition(":")
        host = before.pop(0) if len(before) > 1 else DEFAULT_HOST
        namespace = before.pop(0) if before else DEFAULT_NAMESPACE
        tag = tag if colon else "latest"
        if before or not _HOST.fullmatch(host) or not all(_PART.fullmatch(each) for each in (namespace, model, tag)):
            raise InvalidRequest("invalid model name", param="model")
        if scheme not in {"", "http", "https"}:
            raise InvalidRequest(f"'{scheme}' is not a way to reach a registry.", param="model")
        plain = is_loopback(host) or insecure
        if scheme == "http" and not plain:
            raise InvalidRequest("insecure protocol http", param="insecure")
        return cls(scheme or ("http" if plain else "https"), host, namespace, model, tag)

    @property
    def name(self) -> str:
        if self.host != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        prefix = "" if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/"
        return f"{prefix}{self.model}:{self.tag}"

    @property
    def repository(self) -> str:
        return f"{self.namespace}/{self.model}" if self.namespace else self.model

    @property
    def base(self) -> str:
        return f"{self.scheme}://{self.host}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Allowed:
    """Hosts, each with its port where that is not the usual one."""

    hosts: tuple[str, ...]

    def lists(self, host: str) -> bool:
        return host.lower() in {each.lower() for each in self.hosts}

    def check(self, reference: Reference) -> None:
        """Raises `Forbidden`."""
        if not self.lists(reference.host):
            raise Forbidden(
                f"This installation does not speak to the registry {reference.host}: "
                "its setting OLLAMAMAX_PULL_REGISTRIES does not list it.",
                param="model",
            )


def is_host(text: str) -> bool:
    """Whether it has the form of ``host`` or ``host:port``."""
    return _HOST.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
