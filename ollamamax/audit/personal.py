"""What is personal in audit records: sealed under a key for each subject of a chain, and opened again as long as that key is there.

A record's ``personal`` holds at most two parts: ``actor`` (name and address of a person who acts) and ``target`` (values of the detail that name
a person, such as an e-mail address). Each part is the id of a `SubjectKey` and AES-256-GCM's output in base64, bound to the record's chain. To
destroy the key is to erase the subject; hashes are over what was sealed, so that the chain stays as it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from ollamamax.audit.models import AuditRecord, SubjectKey
from ollamamax.kernel.principal import Principal
from ollamamax.secret_box import KEY_BYTES, CannotOpen

ERASED = "erased"
"""What stands where something was that cannot be opened any more."""
SEALED = "sealed"
NAMES = frozenset({"email", "address", "ip", "agent", "user_agent"})
"""Values of a detail with these names are personal, however deep they are."""
_NONCE = 12
_LOST = "~"
"""Stands between a subject and the end of a key's id where the secret box could not open the key any more."""
_MOST_NAMES = 20
_opened_keys: dict[uuid.UUID, bytes] = {}
_MOST_KEPT = 10_000


def place_of(key: uuid.UUID) -> str:
    """What a subject's key is sealed for in the secret box."""
    return f"audit.subject:{key.hex}"


def subject_of_email(email: str) -> str:
    """The subject that somebody is of whom only an e-mail address is known."""
    return "email:" + hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]


def sealed(
    chain: str, acting: Principal, target: tuple[str, str], detail: Any, known_keys: dict[str, SubjectKey]
) -> dict[str, Any]:
    """``actor_name``, ``detail`` and ``personal`` of a record that is about to be written. Within its transaction, under the chain's lock.

    ``known_keys`` holds the keys that were read under this lock already, by subject, and is added to. Queries: none where nothing is personal;
    else 1 for each subject that is not among them, and 1 more for a subject or a name that is new.
    """
    personal: dict[str, Any] = {}
    name = acting.name
    known: dict[str, str] = {"address": acting.address} if acting.address else {}
    if acting.kind == "user":
        personal["actor"] = _seal(chain, acting.id, {"name": name} | known, [name], known_keys)
        name = ""
    elif known:
        personal["actor"] = _seal(chain, f"{acting.kind}:{acting.id}"[:64], known, [], known_keys)
    values: list[Any] = []
    kept = _taken(detail, values)
    if values:
        emails = [each for each in values if isinstance(each, str) and "@" in each]
        personal["target"] = _seal(chain, _subject(acting, target, emails), {"values": values}, emails, known_keys)
    return {"actor_name": name, "detail": kept, "personal": personal}


def _subject(acting: Principal, target: tuple[str, str], emails: list[str]) -> str:
    kind, id_ = target
    if kind == "user" and len(id_) == 32:
        return id_
    if emails:
        return subject_of_email(emails[0])
    return acting.id if acting.kind == "user" else f"{acting.kind}:{acting.id}"[:64]


def opened(records: Iterable[AuditRecord]) -> list[AuditRecord]:
    """The records with what is personal put back where its key is there, and `ERASED` where it is not. Queries: 1, or none."""
    found = list(records)
    keys = keys_of({part["key"] for each in found for part in each.personal.values()})
    for record in found:
        fields = opened_fields(
            {
                "chain": record.chain,
                "personal": record.personal,
                "actor_name": record.actor_name,
                "detail": record.detail,
            },
            keys,
        )
        record.actor_name, record.detail = fields["actor_name"], fields["detail"]
        record.address, record.erased = fields["address"], fields["erased"]
    return found


def opened_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As `opened`, of rows with at least the columns ``chain``, ``personal``, ``actor_name`` and ``detail``."""
    found = [dict(row) for row in rows]
    keys = keys_of({part["key"] for each in found for part in each["personal"].values()})
    return [row | opened_fields(row, keys) for row in found]


def opened_fields(row: Mapping[str, Any], keys: Mapping[str, bytes]) -> dict[str, Any]:
    """``actor_name``, ``address``, ``detail`` and ``erased`` of one row. Pure."""
    personal = row["personal"]
    parts = {name: _open(row["chain"], part, keys) for name, part in personal.items()}
    actor, target = parts.get("actor"), parts.get("target")
    values = target["values"] if target else []
    name = row["actor_name"]
    if "actor" in personal and not name:
        name = ERASED if actor is None else actor.get("name", "")
    return {
        "actor_name": name,
        "address": "" if actor is None else actor.get("address", ""),
        "detail": _given_back(row["detail"], values) if "target" in personal else row["detail"],
        "erased": any(part is None for part in parts.values()),
    }


def keys_of(ids: set[str]) -> dict[str, bytes]:
    """The keys that are there, by id (hex). Queries: 1, or none for no ids.

    Whether a key was destroyed is asked each time; only the work of opening it is saved.
    """
    if not ids:
        return {}
    found: dict[str, bytes] = {}
    for key_id, held in SubjectKey.objects.filter(pk__in=ids, erased_at=None).values_list("pk", "key"):
        try:
            found[key_id.hex] = _key(key_id, bytes(held or b""))
        except CannotOpen:
            continue
    return found


def subjects_named(chain: str, text: str) -> dict[str, str]:
    """Key -> subject of those of a chain one of whose names holds ``text``, in any case. Queries: 1."""
    wanted = text.casefold()
    return {
        row.pk.hex: row.subject
        for row in SubjectKey.objects.filter(chain=chain, erased_at=None)
        if any(wanted in each.casefold() for each in _names(row))
    }


def _key(key_id: uuid.UUID, held: bytes) -> bytes:
    known = _opened_keys.get(key_id)
    if known is None:
        known = settings.SECRET_BOX.open(held, place_of(key_id))
        if len(_opened_keys) >= _MOST_KEPT:
            _opened_keys.clear()
        _opened_keys[key_id] = known
    return known


def forget(key_id: uuid.UUID) -> None:
    """Have this process hold the key no longer."""
    _opened_keys.pop(key_id, None)


def _seal(
    chain: str, subject: str, values: Mapping[str, Any], names: list[str], known_keys: dict[str, SubjectKey]
) -> dict[str, str]:
    row = known_keys.get(subject) or SubjectKey.objects.filter(chain=chain, subject=subject, erased_at=None).first()
    key = None if row is None else _key_or_none(row)
    if row is not None and key is None:
        # The secret box has lost it: what is done must be told all the same, under another key.
        row.subject = f"{subject}{_LOST}{row.pk.hex[-8:]}"
        row.save(update_fields=["subject"])
    if row is None or key is None:
        row = SubjectKey(chain=chain, subject=subject)
        key = secrets.token_bytes(KEY_BYTES)
        row.key = settings.SECRET_BOX.seal(key, place_of(row.pk))
        row.names = _encrypted(key, f"names:{row.pk.hex}", [name for name in names if name])
        row.save(force_insert=True)
    else:
        known = _names(row)
        new = [name for name in names if name and name not in known]
        if new:
            row.names = _encrypted(key, f"names:{row.pk.hex}", [*known, *new][-_MOST_NAMES:])
            row.save(update_fields=["names"])
    known_keys[subject] = row
    return {"key": row.pk.hex, "sealed": base64.b64encode(_encrypted(key, chain, values)).decode()}


def _key_or_none(row: SubjectKey) -> bytes | None:
    try:
        return _key(row.pk, bytes(row.key or b""))
    except CannotOpen:
        return None


def _names(row: SubjectKey) -> list[str]:
    try:
        found = _decrypted(_key(row.pk, bytes(row.key or b"")), f"names:{row.pk.hex}", bytes(row.names or b""))
    except (CannotOpen, InvalidTag, ValueError):
        return []
    return [str(each) for each in found]


def _open(chain: str, part: Mapping[str, str], keys: Mapping[str, bytes]) -> Any:
    """``None`` where the key is not there, or the part was altered: then the chain does not verify either."""
    key = keys.get(part["key"])
    if key is None:
        return None
    try:
        return _decrypted(key, chain, base64.b64decode(part["sealed"]))
    except (InvalidTag, ValueError):
        return None


def _encrypted(key: bytes, bound: str, values: Any) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, json.dumps(values, ensure_ascii=False).encode(), bound.encode())


def _decrypted(key: bytes, bound: str, held: bytes) -> Any:
    return json.loads(AESGCM(key).decrypt(held[:_NONCE], held[_NONCE:], bound.encode()))


def _taken(value: Any, values: list[Any], name: str = "") -> Any:
    """The value without what is personal, which is put into ``values``, and a number stands in its place."""
    if name in NAMES and value not in (None, "", [], {}):
        values.append(value)
        return f"{SEALED}:{len(values) - 1}"
    if isinstance(value, Mapping):
        return {each: _taken(inner, values, each if isinstance(each, str) else "") for each, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_taken(each, values) for each in value]
    return value


def _given_back(value: Any, values: list[Any], name: str = "") -> Any:
    if name in NAMES and isinstance(value, str) and value.startswith(f"{SEALED}:"):
        number = int(value.removeprefix(f"{SEALED}:"))
        return values[number] if number < len(values) else ERASED
    if isinstance(value, dict):
        return {each: _given_back(inner, values, each) for each, inner in value.items()}
    if isinstance(value, list):
        return [_given_back(each, values) for each in value]
    return value


def destroy(chain: str, subject: str) -> int:
    """Destroy the keys of a subject in a chain; how many that were. Within the transaction that tells of it, under the chain's lock."""
    of_subject = Q(subject=subject) | Q(subject__startswith=f"{subject}{_LOST}")
    held = list(SubjectKey.objects.select_for_update().filter(of_subject, chain=chain, erased_at=None))
    for row in held:
        # Who knows the address could find out whose key it was.
        row.subject = "" if subject.startswith("email:") else subject
        row.key = row.names = None
        row.erased_at = timezone.now()
        row.save(update_fields=["subject", "key", "names", "erased_at"])
        forget(row.pk)
    return len(held)
