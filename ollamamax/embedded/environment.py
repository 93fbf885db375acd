"""The settings of one machine's processes: what the person set, and else the embedded servers and made-up secrets."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from ollamamax import env
from ollamamax.embedded import postgres, valkey
from ollamamax.embedded.home import Home, read_json, write_private
from ollamamax.embedded.problem import Problem
from ollamamax.embedded.processes import source

MOST_NODES = 64


@dataclass(frozen=True)
class Plan:
    """One start: the environment of the children, and what of it is embedded."""

    environ: Mapping[str, str]
    settings: env.Environment
    postgres_port: int | None
    valkey_port: int | None
    nodes: int

    @property
    def host(self) -> str:
        return str(self.settings["HOST"])

    @property
    def port(self) -> int:
        return int(self.settings["PORT"])

    @property
    def local_url(self) -> str:
        """Where this machine reaches the web process, whatever stands in front of it."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            host = self.host
        else:
            if address.is_unspecified:
                address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
            host = f"[{address}]" if address.version == 6 else str(address)
        return f"{'https' if self.settings['OLLAMAMAX_TLS_CERT'] else 'http'}://{host}:{self.port}"

    @property
    def url_here(self) -> str:
        """Where programs of this machine reach it without the proxy; a certificate is for the public name only."""
        return self.url if self.settings["OLLAMAMAX_TLS_CERT"] else self.local_url

    @property
    def gateway_port(self) -> int | None:
        """Of gateways in processes of their own, if there are to be any."""
        return self.settings["OLLAMAMAX_GATEWAY_PORT"] or None

    @property
    def gateway_url(self) -> str:
        return f"{self.local_url.rpartition(':')[0]}:{self.gateway_port}"

    @property
    def url(self) -> str:
        """Where people and nodes reach it."""
        return str(self.settings["OLLAMAMAX_PUBLIC_URL"]) or self.local_url


def plan(home: Home, environ: Mapping[str, str] = os.environ) -> Plan:
    """Complete ``environ``. Raises `Problem` with everything that is wrong with it."""
    secrets = home.secrets()
    full = {k: v for k, v in environ.items() if v or k not in {"DATABASE_URL", "REDIS_URL", "HOST", "PORT"}}
    full["OLLAMAMAX_HOME"] = str(home.folder)
    full.setdefault("OLLAMAMAX_SECRET_KEY", secrets["secret_key"])
    postgres_port = None if "DATABASE_URL" in full else home.port("postgres")
    valkey_port = None if "REDIS_URL" in full else home.port("valkey")
    if postgres_port is not None:
        full |= _databases(secrets, postgres_port)
    if valkey_port is not None:
        full["REDIS_URL"] = valkey.url(secrets["valkey_password"], home.socket("valkey"))
        full.setdefault("OLLAMAMAX_NODE_REDIS_URL", valkey.public_url(valkey_port))
    full["PYTHONPATH"] = os.pathsep.join([str(source()), *filter(None, [environ.get("PYTHONPATH")])])
    full["PYTHONSAFEPATH"] = "1"
    full["PYTHONUNBUFFERED"] = "1"
    nodes = _nodes(environ.get("NODES") or "1")
    try:
        made = Plan(full, env.read(full), postgres_port, valkey_port, nodes)
    except env.EnvironmentInvalid as error:
        raise Problem(str(error)) from error
    # A bind to every address is no address to visit; the web process must say the same as we do.
    full.setdefault("OLLAMAMAX_PUBLIC_URL", made.local_url)
    return made


def remember(home: Home, made: Plan) -> None:
    """Keep the settings of this start for `of_running`, as private as the secrets in them, until it is stopped."""
    kept = {setting.name: made.environ[setting.name] for setting in env.SETTINGS if setting.name in made.environ}
    write_private(home.settings_file, json.dumps(kept, indent=2))


def of_running(home: Home) -> dict[str, str]:
    """The settings of the installation that runs in ``home``; nothing when none runs there."""
    return read_json(home.settings_file) if home.running() else {}


def _databases(secrets: Mapping[str, str], port: int) -> dict[str, str]:
    """Where the embedded server is, for what runs, and for the owner of its tables."""
    return {
        "DATABASE_URL": postgres.url(secrets["postgres_runtime_password"], port, postgres.RUNTIME),
        "DATABASE_OWNER_URL": postgres.url(secrets["postgres_password"], port),
    }


def _nodes(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= MOST_NODES:
        raise Problem(f"NODES is {text!r}: set it to how many nodes to run on this machine, 0 to {MOST_NODES}.")
    return int(text)
