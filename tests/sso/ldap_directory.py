"""A real directory: Debian's slapd, of one company, by TLS both ways. And one that lies, which answers with whatever it is told."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ldap3

from tests.patience import LONG
from tests.programs import program
from tests.servers import free_port
from tests.worker.test_redis_addresses import write_certificate

BASE = "dc=acme,dc=example"
READER, READS = f"cn=reader,{BASE}", "reads the directory"
_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
TLSCertificateFile {chain}
TLSCertificateKeyFile {key}
require bind
database mdb
maxsize 16777216
suffix "{base}"
rootdn "{reader}"
rootpw "{password}"
directory {folder}/data
overlay memberof
memberof-dangling drop
memberof-refint TRUE
"""


@dataclass
class Slapd:
    """``ca`` is the certificate in PEM that its own is of."""

    secure: int
    plain: int
    ca: str

    @property
    def address(self) -> str:
        return f"ldaps://127.0.0.1:{self.secure}"

    @contextlib.contextmanager
    def admin(self) -> Iterator[ldap3.Connection]:
        with ldap3.Connection(ldap3.Server("127.0.0.1", self.plain), READER, READS, auto_bind=True) as found:
            yield found

    def add_person(self, uid: str, password: str, **more: Any) -> str:
        dn = f"uid={uid},ou=people,{BASE}"
        values = {"cn": uid.title(), "sn": uid.title(), "displayName": uid.title(), "mail": f"{uid}@acme.example"}
        with self.admin() as admin:
            assert admin.add(dn, ["inetOrgPerson"], values | {"uid": uid, "userPassword": password} | more), (
                admin.result
            )
        return dn

    def remove(self, dn: str) -> None:
        with self.admin() as admin:
            assert admin.delete(dn), admin.result

    def group(self, name: str, members: Sequence[str]) -> None:
        """Who is in it now; nobody removes it."""
        dn, member = f"cn={name},ou=groups,{BASE}", [*members] or [READER]
        with self.admin() as admin:
            if not admin.add(dn, ["groupOfNames"], {"member": member}):
                assert admin.modify(dn, {"member": [(ldap3.MODIFY_REPLACE, member)]}), admin.result


@contextlib.contextmanager
def slapd(folder: Path) -> Iterator[Slapd]:
    """It begins with nobody."""
    found = program("slapd")
    chain, key = write_certificate(folder)
    (folder / "data").mkdir()
    configuration = folder / "slapd.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, chain=chain, key=key, base=BASE, reader=READER, password=READS)
    )
    made = Slapd(free_port(), free_port(), chain.read_text())
    places = f"ldaps://127.0.0.1:{made.secure} ldap://127.0.0.1:{made.plain}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [found, "-f", configuration, "-h", places, "-d", "0"], stdout=log, stderr=log, cwd=folder
        )
    try:
        end = time.monotonic() + LONG
        while not _listens(made.plain):
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError((folder / "log").read_text())
            time.sleep(0.05)
        with made.admin() as admin:
            assert admin.add(BASE, ["dcObject", "organization"], {"dc": "acme", "o": "Acme"}), admin.result
            for name in ("people", "groups"):
                assert admin.add(f"ou={name},{BASE}", ["organizationalUnit"]), admin.result
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def lying(folder: Path, answer: Callable[[ssl.SSLSocket], None]) -> Iterator[Slapd]:
    """Speaks TLS, reads one message, and does what ``answer`` does, for each connection."""
    chain, key = write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                held, _ = listening.accept()
                threading.Thread(target=speak, args=(held,), daemon=True).start()

    def speak(held: socket.socket) -> None:
        with contextlib.suppress(OSError), held, context.wrap_socket(held, server_side=True) as secured:
            secured.recv(65536)
            answer(secured)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield Slapd(listening.getsockname()[1], 0, chain.read_text())
    finally:
        listening.close()
