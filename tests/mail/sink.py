"""A real mail server on this machine that keeps what it takes, and answers as the test says."""

from __future__ import annotations

import email
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from ollamamax.mail.server import MailServer

USER, PASSWORD = "omx", "a password of the mail server"


@dataclass
class Sink:
    """``at_rcpt`` and ``at_data`` are answered instead of 250, as long as they are not empty."""

    port: int = 0
    at_rcpt: str = ""
    at_data: str = ""
    taken: list[EmailMessage] = field(default_factory=list)
    tries: int = 0
    logged_in: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        self.tries += 1
        if self.at_rcpt and "refused" in address:
            return self.at_rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.at_data:
            return self.at_data
        self.taken.append(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    def server(self, **given: Any) -> MailServer:
        values = {"tls": "none", "user": "", "password": "", "sender": "OllamaMax <omx@mail.example>"} | given
        return MailServer(host="127.0.0.1", port=self.port, **values)


class _Controller(Controller):
    """At a port that the system chose."""

    def _trigger_server(self) -> None:
        listening: Any = self.server
        self.port = listening.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def taking(**given: Any) -> Iterator[Sink]:
    found = Sink()

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        if right:
            found.logged_in.append(USER)
        return AuthResult(success=right)

    controller = _Controller(
        found, hostname="127.0.0.1", port=0, authenticator=authenticate, auth_require_tls=False, **given
    )
    controller.start()
    found.port = controller.port
    try:
        yield found
    finally:
        controller.stop()
