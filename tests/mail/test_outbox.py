"""The outbox against a real mail server: what is queued is sent once it can be, what never can be is given up, and no link stays behind."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from ollamamax import env
from ollamamax.kernel.ids import uuid7
from ollamamax.mail.actions import KEPT, Mailing, claim_mail, finish_mail, queue_mail, sweep_mail
from ollamamax.mail.letters import LANGUAGES, WORDS, Kind, Language, letter
from ollamamax.mail.models import OutgoingMail
from ollamamax.mail.sending import message_of, send_due
from ollamamax.mail.server import MailServer, server_of
from tests.mail.sink import PASSWORD, USER, Sink, taking

LINK = "https://omx.example/reset#a-secret-token"
VALUES = {"email": "ada@example.com", "minutes": "30"}


@pytest.fixture
def sink(settings: Settings, transactional_db: None) -> Iterator[Sink]:
    with taking() as found:
        settings.MAIL = found.server()
        yield found


def queue(to: str = "ada@example.com", **given: Any) -> None:
    with transaction.atomic():
        queue_mail(**{"to": to, "kind": "reset", "language": "en", "values": VALUES, "link": LINK} | given)


def due() -> None:
    OutgoingMail.objects.filter(state="waiting").update(next_at=timezone.now(), lease_until=None)


def test_a_letter_arrives_as_text_and_as_html_and_its_link_is_kept_nowhere(sink: Sink) -> None:
    queue()
    assert b"a-secret-token" not in bytes(OutgoingMail.objects.get().letter)
    assert send_due() == 1
    [message] = sink.taken
    assert (message["To"], message["From"]) == ("ada@example.com", "OllamaMax <omx@mail.example>")
    assert message["Auto-Submitted"] == "auto-generated"
    parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    assert LINK in parts["text/plain"]
    assert f'href="{LINK}"' in parts["text/html"]
    row = OutgoingMail.objects.get()
    assert (row.state, bytes(row.letter)) == ("sent", b"")
    assert send_due() == 0


def test_what_is_rolled_back_is_not_sent(sink: Sink) -> None:
    with transaction.atomic():
        queue_mail(to="ada@example.com", kind="reset", language="en", values=VALUES)
        transaction.set_rollback(True)
    assert send_due() == 0
    with pytest.raises(transaction.TransactionManagementError):
        queue_mail(to="ada@example.com", kind="reset", language="en", values=VALUES)


@pytest.mark.parametrize(("code", "state"), [("450 later", "waiting"), ("550 nobody", "failed")])
def test_a_refusal_for_good_ends_a_letter_and_another_does_not_and_neither_is_in_the_way(
    sink: Sink, code: str, state: str
) -> None:
    sink.at_rcpt = code
    queue("refused@example.com")
    queue("ada@example.com")
    assert send_due() == 2
    assert [message["To"] for message in sink.taken] == ["ada@example.com"]
    row = OutgoingMail.objects.get(to="refused@example.com")
    assert row.state == state
    assert row.error.endswith(code[:3])
    assert bool(bytes(row.letter)) == (state == "waiting")
    sink.at_rcpt = ""
    due()
    send_due()
    assert len(sink.taken) == (2 if state == "waiting" else 1)


def test_while_the_server_is_away_letters_wait_and_then_go(sink: Sink, settings: Settings) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        settings.MAIL = MailServer("127.0.0.1", held.getsockname()[1], "none", "", "", "omx@mail.example")
        queue()
        assert send_due() == 1
    row = OutgoingMail.objects.get()
    assert (row.state, row.tries) == ("waiting", 1)
    assert row.next_at > timezone.now()
    assert send_due() == 0, "not before it is due"
    settings.MAIL = sink.server()
    due()
    assert send_due() == 1
    assert len(sink.taken) == 1


def test_who_dies_in_the_middle_loses_no_letter(sink: Sink) -> None:
    queue()
    [mailing] = claim_mail("dead", 5)
    assert send_due() == 0
    due()
    assert send_due() == 1
    finish_mail(mailing, "dead", "late")
    assert OutgoingMail.objects.get().state == "sent"


def test_a_letter_whose_link_is_over_is_not_sent(sink: Sink) -> None:
    queue(lasts=datetime.timedelta(seconds=0))
    sweep_mail()
    row = OutgoingMail.objects.get()
    assert (row.state, bytes(row.letter)) == ("failed", b"")
    OutgoingMail.objects.update(ended_at=timezone.now() - KEPT * 2)
    assert sweep_mail() == 1


def test_whoever_runs_the_server_is_logged_in_to(sink: Sink, settings: Settings) -> None:
    settings.MAIL = sink.server(user=USER, password=PASSWORD)
    queue()
    send_due()
    assert (sink.logged_in, len(sink.taken)) == ([USER], 1)
    settings.MAIL = sink.server(user=USER, password="wrong")
    queue()
    send_due()
    row = OutgoingMail.objects.get(state="waiting")
    assert "wrong" not in row.error
    assert row.error.startswith("SMTP")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_without_the_tls_that_is_asked_for_nothing_is_sent(sink: Sink, settings: Settings, tls: str) -> None:
    settings.MAIL = sink.server(tls=tls)
    queue()
    send_due()
    assert sink.taken == []
    assert OutgoingMail.objects.get().state == "waiting"


def test_where_no_server_is_named_nothing_is_queued(db: None, settings: Settings) -> None:
    settings.MAIL = None
    queue_mail(to="ada@example.com", kind="reset", language="en", values=VALUES)
    assert OutgoingMail.objects.count() == 0
    assert send_due() == 0


# Letters.

EVERYTHING = (
    *("inviter", "tenant", "role", "until", "email", "minutes", "host", "reason"),
    *("percent", "most", "unit", "period", "begin", "budget", "spent"),
)


@pytest.mark.parametrize("kind", WORDS)
def test_every_letter_is_there_in_every_language_with_the_same_places(kind: Kind) -> None:
    assert WORDS[kind].keys() == set(LANGUAGES)
    for language in LANGUAGES:
        words = WORDS[kind][language]
        assert bool(words.action) == bool(WORDS[kind]["en"].action)
        found = letter(kind, language, dict.fromkeys(EVERYTHING, "x"), LINK if words.action else "")
        assert "{" not in found.text + found.subject


@given(
    value=st.text(max_size=60),
    kind=st.sampled_from(sorted(WORDS)),
    language=st.sampled_from(LANGUAGES),
)
def test_what_people_are_called_changes_neither_headers_nor_markup(value: str, kind: Kind, language: Language) -> None:
    found = letter(kind, language, dict.fromkeys(EVERYTHING, value + "\r\nBcc: eve@example.com <b>{x}</b>"))
    assert "\n" not in found.subject
    assert "\r" not in found.subject
    assert "<b>" not in found.html
    if not any("\ud800" <= each <= "\udfff" for each in value):
        message = message_of(Mailing(uuid7(), "ada@example.com", found), "omx@mail.example")
        assert "Bcc" not in message
        assert message.as_bytes()


# Settings.

BASE = {
    "OLLAMAMAX_SECRET_KEY": "x" * 50,
    "DATABASE_URL": "postgresql://a@127.0.0.1/b",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
MAIL = {"OLLAMAMAX_SMTP_HOST": "mail.example.com", "OLLAMAMAX_SMTP_FROM": "omx@example.com"}


def test_settings_of_mail_are_read_and_a_password_may_lie_in_a_file(tmp_path: Any) -> None:
    file = tmp_path / "password"
    file.write_text("from the file\n")
    given_ = BASE | MAIL | {"OLLAMAMAX_SMTP_USER": "omx", "OLLAMAMAX_SMTP_PASSWORD_FILE": str(file)}
    server = server_of(env.read(given_).values)
    assert server is not None
    assert (server.host, server.port, server.tls, server.password) == (
        "mail.example.com",
        587,
        "starttls",
        "from the file",
    )
    assert "from the file" not in repr(server)
    assert server_of(env.read(BASE).values) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"OLLAMAMAX_SMTP_FROM": ""},
        {"OLLAMAMAX_SMTP_TLS": "none", "OLLAMAMAX_SMTP_USER": "omx"},
        {"OLLAMAMAX_SMTP_TLS": "ssl"},
        {"OLLAMAMAX_SMTP_PORT": "0"},
        {"OLLAMAMAX_SMTP_PASSWORD_FILE": "/nowhere"},
    ],
)
def test_settings_of_mail_that_cannot_work_end_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(env.EnvironmentInvalid, match=next(iter(wrong))):
        env.read(BASE | MAIL | wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_whoever_chooses_a_name_writes_no_letter_of_ours(language: Language) -> None:
    """Neither a link, nor text that is not seen or turned around, nor a header."""
    bad = "\u202eevil\u2066\x1b[31m\x00\x7f\u200b https://evil.example/x www.evil.example\r\nBcc: x@evil.example"
    found = letter("invitation", language, dict.fromkeys(EVERYTHING, bad), LINK)
    for text in (found.subject, found.text, found.html):
        assert not {"\u202e", "\u2066", "\x1b", "\x00", "\x7f", "\u200b"} & set(text)
        assert "evil.example/x" not in text or "https: //evil" in text
        assert "www.evil" not in text
    assert "\n" not in found.subject
