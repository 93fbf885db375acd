"""What letters say, in every language, as text and as HTML. Pure."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["invitation", "reset", "password_changed", "webhook_disabled", "budget_warned", "budget_spent"]
Language = Literal["en", "de"]
LANGUAGES: tuple[Language, ...] = ("en", "de")


class Words(NamedTuple):
    """``paragraphs`` before the button; ``action`` is what the button says, and ``after`` what follows it."""

    subject: str
    paragraphs: tuple[str, ...]
    action: str = ""
    after: str = ""


class Letter(NamedTuple):
    subject: str
    text: str
    html: str


WORDS: dict[Kind, dict[Language, Words]] = {
    "invitation": {
        "en": Words(
            "{inviter} invites you to {tenant} on OllamaMax",
            ("{inviter} invites you to join {tenant} as {role}.",),
            "Accept the invitation",
            "The link works once and until {until} (UTC). If you do not know what this is about, ignore this letter.",
        ),
        "de": Words(
            "{inviter} lädt Sie zu {tenant} auf OllamaMax ein",
            ("{inviter} lädt Sie ein, {tenant} als {role} beizutreten.",),
            "Einladung annehmen",
            "Der Link gilt einmal und bis {until} (UTC). Wenn Sie nicht wissen, worum es geht, beachten Sie diesen Brief nicht.",
        ),
    },
    "reset": {
        "en": Words(
            "Set a new password for OllamaMax",
            ("Somebody, probably you, asked to set a new password for {email}.",),
            "Set a new password",
            "The link works once and for {minutes} minutes. If it was not you, ignore this letter: nothing changes.",
        ),
        "de": Words(
            "Neues Passwort für OllamaMax festlegen",
            ("Jemand, vermutlich Sie, möchte für {email} ein neues Passwort festlegen.",),
            "Neues Passwort festlegen",
            "Der Link gilt einmal und {minutes} Minuten lang. Wenn Sie es nicht waren, beachten Sie diesen Brief nicht: Es ändert sich nichts.",
        ),
    },
    "password_changed": {
        "en": Words(
            "Your password for OllamaMax was changed",
            (
                "The password of {email} was set anew by a link in a letter to this address, and every session has ended.",
                "If it was not you, tell whoever runs your OllamaMax at once.",
            ),
        ),
        "de": Words(
            "Ihr Passwort für OllamaMax wurde geändert",
            (
                "Das Passwort von {email} wurde über einen Link in einem Brief an diese Adresse neu festgelegt, und alle Sitzungen sind beendet.",
                "Wenn Sie es nicht waren, sagen Sie es sofort denen, die Ihr OllamaMax betreiben.",
            ),
        ),
    },
    "webhook_disabled": {
        "en": Words(
            "A webhook of {tenant} was switched off",
            ("The webhook that leads to {host} was switched off. {reason}",),
            "See its log",
            "It is told of nothing until somebody switches it on again.",
        ),
        "de": Words(
            "Ein Webhook von {tenant} wurde abgeschaltet",
            ("Der Webhook, der zu {host} führt, wurde abgeschaltet. {reason}",),
            "Protokoll ansehen",
            "Er erfährt von nichts, bis ihn jemand wieder einschaltet.",
        ),
    },
    "budget_warned": {
        "en": Words(
            "A budget of {tenant} is {percent} percent spent",
            ("Of {most} {unit} for the {period} from {begin} (UTC), {budget} has spent {spent}.",),
            "See the budgets",
            "You are told since you may change budgets, once for each {period}.",
        ),
        "de": Words(
            "Ein Budget von {tenant} ist zu {percent} Prozent verbraucht",
            ("{budget} hat von {most} {unit} für {period}, von {begin} (UTC) an, {spent} verbraucht.",),
            "Budgets ansehen",
            "Sie erfahren es, weil Sie Budgets ändern dürfen, und einmal für {period}.",
        ),
    },
    "budget_spent": {
        "en": Words(
            "A budget of {tenant} is spent",
            (
                "Of {most} {unit} for the {period} from {begin} (UTC), {budget} has spent {spent}.",
                "A hard budget refuses requests until the next {period}; a soft one only tells.",
            ),
            "See the budgets",
            "You are told since you may change budgets, once for each {period}.",
        ),
        "de": Words(
            "Ein Budget von {tenant} ist verbraucht",
            (
                "{budget} hat von {most} {unit} für {period}, von {begin} (UTC) an, {spent} verbraucht.",
                "Ein hartes Budget lehnt Anfragen ab, bis der nächste Zeitraum beginnt; ein weiches meldet es nur.",
            ),
            "Budgets ansehen",
            "Sie erfahren es, weil Sie Budgets ändern dürfen, und einmal für {period}.",
        ),
    },
}


def _shown(value: str) -> str:
    """In one line, without what is not seen; and no address in it becomes a link: whoever chose a name does not write our letters."""
    seen = "".join(
        each for each in value if each.isspace() or unicodedata.category(each) not in {"Cc", "Cf", "Co", "Cs"}
    )
    return " ".join(seen.split()).replace("://", ": //").replace("www.", "www .")


def letter(kind: Kind, language: Language, values: Mapping[str, str], link: str = "") -> Letter:
    """``link`` is where the button leads; ``values`` fill the places of the words, and are text, whatever is in them."""
    words = WORDS[kind][language]
    plain = {name: _shown(value) for name, value in values.items()}
    safe = {name: html.escape(value) for name, value in plain.items()}
    after = (words.after,) if words.after else ()
    text = "\n\n".join(
        [
            *(each.format_map(plain) for each in words.paragraphs),
            *([f"{words.action}:\n{link}"] if link else []),
            *(each.format_map(plain) for each in after),
        ]
    )
    button = (
        f'<p><a href="{html.escape(link)}" style="display:inline-block;padding:10px 18px;border-radius:8px;'
        f'background:#2457d6;color:#ffffff;text-decoration:none">{html.escape(words.action)}</a></p>'
        if link
        else ""
    )
    body = "".join(f"<p>{each.format_map(safe)}</p>" for each in words.paragraphs) + button
    body += "".join(f'<p style="color:#5b6472;font-size:13px">{each.format_map(safe)}</p>' for each in after)
    page = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"></head>'
        f'<body style="font-family:system-ui,sans-serif;font-size:15px;line-height:1.5;color:#14181f;max-width:34em;margin:24px auto;padding:0 16px">'
        f'<p style="font-weight:600">OllamaMax</p>{body}</body></html>'
    )
    return Letter(words.subject.format_map(plain)[:200], text + "\n", page)
