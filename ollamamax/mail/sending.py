"""Gives letters to the mail server, several over one connection."""

from __future__ import annotations

import contextlib
import smtplib
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from django.conf import settings
from django.utils import timezone

from ollamamax.kernel.ids import new_id
from ollamamax.mail.actions import Mailing, claim_mail, finish_mail
from ollamamax.mail.server import MailServer

AT_ONCE = 20


def send_due() -> int:
    """What is due, until nothing is; how many attempts that were. Nothing, where no mail is set up."""
    server: MailServer | None = settings.MAIL
    runner, done = new_id(), 0
    while server is not None and (some := claim_mail(runner, AT_ONCE)):
        _send(server, some, runner)
        done += len(some)
    return done


def _send(server: MailServer, some: list[Mailing], runner: str) -> None:
    try:
        connection = server.connect()
    except OSError as error:
        for mailing in some:
            finish_mail(mailing, runner, _why(error))
        return
    broken: OSError | None = None
    for mailing in some:
        if broken is not None:
            finish_mail(mailing, runner, _why(broken))
            continue
        try:
            connection.send_message(message_of(mailing, server.sender))
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
            finish_mail(mailing, runner, _why(error), for_good=_is_for_good(error))
            with contextlib.suppress(OSError):
                connection.rset()
        except OSError as error:
            broken = error
            finish_mail(mailing, runner, _why(error))
        except ValueError as error:  # an address that the mail's own form does not take
            finish_mail(mailing, runner, f"{type(error).__name__}", for_good=True)
        else:
            finish_mail(mailing, runner)
    with contextlib.suppress(OSError):
        connection.quit()


def message_of(mailing: Mailing, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mailing.to
    message["Subject"] = mailing.letter.subject
    message["Date"] = format_datetime(timezone.now())
    # The same at every attempt: a server that took it before can tell.
    message["Message-ID"] = f"<{mailing.id.hex}@{parseaddr(sender)[1].rpartition('@')[2] or 'ollamamax'}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mailing.letter.text)
    message.add_alternative(mailing.letter.html, subtype="html")
    return message


def _codes(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPResponseException) -> list[int]:
    if isinstance(error, smtplib.SMTPResponseException):
        return [error.smtp_code]
    return [code for code, _ in error.recipients.values()]


def _is_for_good(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPResponseException) -> bool:
    """RFC 5321, section 4.2.1: with a code of 5xx the same will never be taken."""
    return all(500 <= code < 600 for code in _codes(error))


def _why(error: OSError) -> str:
    """Without what the server says, which may hold what was sent to it."""
    codes = _codes(error) if isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPResponseException) else []
    return " ".join([type(error).__name__, *map(str, codes)])
