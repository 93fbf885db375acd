"""Which mail server letters are given to, and how it is spoken to. Knows no Django."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SECONDS = 15.0
Tls = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class MailServer:
    host: str
    port: int
    tls: Tls
    user: str
    password: str = field(repr=False)
    sender: str

    def connect(self) -> smtplib.SMTP:
        """Raises `OSError` (of which `SMTPException` is one)."""
        secure = ssl.create_default_context()
        if self.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=secure)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        try:
            if self.tls == "starttls":
                server.starttls(context=secure)
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server


def server_of(env: Mapping[str, Any]) -> MailServer | None:
    """As the settings say; ``None`` where they name none. Raises `OSError` for a file of a password that cannot be read."""
    if not env["OLLAMAMAX_SMTP_HOST"]:
        return None
    file = env["OLLAMAMAX_SMTP_PASSWORD_FILE"]
    password = Path(file).read_text().strip() if file else env["OLLAMAMAX_SMTP_PASSWORD"]
    return MailServer(
        host=env["OLLAMAMAX_SMTP_HOST"],
        port=env["OLLAMAMAX_SMTP_PORT"],
        tls=env["OLLAMAMAX_SMTP_TLS"],
        user=env["OLLAMAMAX_SMTP_USER"],
        password=password,
        sender=env["OLLAMAMAX_SMTP_FROM"],
    )
