"""Whether somebody is who they say: by a code of an authenticator program, a recovery code, a passkey, or their password.

Each wrong one is counted before it is looked at, per person, and none counts twice: of a program's codes the newest time step is kept, a
recovery code is used up, a challenge for passkeys is answered once.
"""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import passkeys, throttle
from ollamamax.identity.actions import attempt
from ollamamax.identity.models import Passkey, TotpDevice, User
from ollamamax.identity.one_time_codes import hash_of_recovery_code, step_of
from ollamamax.identity.passkeys import Site
from ollamamax.identity.queries.second_factor import known_passkey, known_passkeys, totp_devices, unused_codes
from ollamamax.identity.sessions import Proof
from ollamamax.kernel.errors import InvalidRequest, Unauthenticated
from ollamamax.kernel.principal import Principal

CHALLENGE = "passkey_challenge"
"""The session's entry with the challenge that it was given last, for what, and when."""
Purpose = Literal["register", "log_in", "factor", "confirm"]
WRONG = "This does not prove that it is you. Try again."


@dataclass(frozen=True)
class ShownProof:
    """What somebody shows; one of them. ``credential`` is what the browser answered to a challenge."""

    password: str = ""
    code: str = ""
    recovery_code: str = ""
    credential: Mapping[str, Any] | None = None


def site_of(request: HttpRequest) -> Site:
    """Raises `Unsupported` where the browser came to an address and not to a name."""
    return passkeys.site_of(request.scheme or "http", request.get_host())


def has_site(request: HttpRequest) -> bool:
    return passkeys.has_name(request.get_host())


def new_challenge(request: HttpRequest, purpose: Purpose) -> bytes:
    """Another one than was given before is void."""
    challenge = secrets.token_bytes(32)
    text = base64.b64encode(challenge).decode()
    request.session[CHALLENGE] = {"challenge": text, "purpose": purpose, "at": time.time()}
    return challenge


def take_challenge(request: HttpRequest, purpose: Purpose) -> bytes:
    """It counts once. Raises `InvalidRequest` where none was given for this, or too long ago."""
    refused = InvalidRequest("This passkey was not asked for, or too long ago. Try again.", param="credential")
    held = request.session.pop(CHALLENGE, None)
    request.session.save()
    if held is None or held["purpose"] != purpose or time.time() - held["at"] > passkeys.SECONDS:
        raise refused
    challenge = base64.b64decode(held["challenge"])
    if not attempt.is_first_use(challenge, passkeys.SECONDS):
        raise refused
    return challenge


def ask_for_passkey(*, request: HttpRequest, user: User | None, purpose: Purpose) -> dict[str, Any]:
    """What the browser is to sign: with a passkey of ``user``, or with one that names its user itself."""
    site = site_of(request)
    known = [] if user is None else known_passkeys(user.pk, site.host)
    challenge = new_challenge(request, purpose)
    return passkeys.question(site, known=known, challenge=challenge, alone=purpose != "factor")


def check_proof(
    *, request: HttpRequest, user: User, shown: ShownProof, purpose: Purpose, request_id: str = ""
) -> Proof:
    """What was proven. Raises `Unauthenticated` for a wrong one, `Overloaded` after too many, and `InvalidRequest` for nothing at all."""
    if shown.password and purpose != "factor":
        return _by_password(request, user, shown.password, request_id)
    attempt.count("factor", user.pk.hex)
    proof: Proof | None = None
    if shown.code:
        proof = "totp" if _take_code(user.pk, shown.code) else None
    elif shown.recovery_code:
        proof = "recovery_code" if _take_recovery_code(user.pk, shown.recovery_code) else None
    elif shown.credential is not None:
        challenge = take_challenge(request, purpose)
        found = find_by_passkey(request, shown.credential, challenge, alone=purpose != "factor")
        proof = "passkey" if found is not None and found.user_id == user.pk else None
    else:
        raise InvalidRequest("Nothing was shown that could prove who it is.", param="code")
    if proof is None:
        _refused(user, request, request_id)
        raise Unauthenticated(WRONG)
    with transaction.atomic(durable=True):
        attempt.give_back("factor", user.pk.hex)
    return proof


def find_by_passkey(
    request: HttpRequest, credential: Mapping[str, Any], challenge: bytes, *, alone: bool
) -> Passkey | None:
    """The passkey that signed the challenge; its count is kept. ``None`` for an answer that proves nothing, and for a passkey that nobody has."""
    site = site_of(request)
    with transaction.atomic(durable=True):
        rows = Passkey.objects.select_for_update(of=("self",)).select_related("user")
        found = rows.filter(credential_id=passkeys.credential_id_of(credential), host=site.host).first()
        if found is None:
            return None
        count = passkeys.proven(site, credential, challenge, known_passkey(found), alone=alone)
        if count is None:
            return None
        found.sign_count, found.used_at = count, timezone.now()
        found.save(update_fields=["sign_count", "used_at"])
    return found


def secret_of(device: TotpDevice) -> str:
    """Raises `CannotOpen`."""
    opened: bytes = settings.SECRET_BOX.open(bytes(device.sealed_secret), device.place)
    return opened.decode()


def _by_password(request: HttpRequest, user: User, password: str, request_id: str) -> Proof:
    tried = attempt.begin(email=user.email.lower(), address=request.META.get("REMOTE_ADDR", ""), request=request_id)
    if not user.check_password(password):
        attempt.failed(tried)
        raise Unauthenticated("The password is wrong.")
    with transaction.atomic(durable=True):
        attempt.succeeded(tried)
    return "password"


def _take_code(user: uuid.UUID, code: str) -> bool:
    with transaction.atomic(durable=True):
        for device in totp_devices(user).select_for_update():
            step = step_of(code, secret_of(device), now=time.time(), after=device.last_step)
            if step is not None:
                device.last_step, device.used_at = step, timezone.now()
                device.save(update_fields=["last_step", "used_at"])
                return True
    return False


def _take_recovery_code(user: uuid.UUID, code: str) -> bool:
    with transaction.atomic(durable=True):
        found = unused_codes(user).filter(code_hash=hash_of_recovery_code(code))
        return found.update(used_at=timezone.now()) == 1


def _refused(user: User, request: HttpRequest, request_id: str) -> None:
    with transaction.atomic(durable=True):
        if attempt.has_room(timezone.now()):
            record(
                acting=Principal("user", user.pk.hex, None, user.email, request=request_id),
                action="session.refuse_factor",
                target_type="user",
                target_id=user.pk,
                tenant=None,
                detail={"email": user.email, "address": throttle.network_of(request.META.get("REMOTE_ADDR", ""))},
            )
