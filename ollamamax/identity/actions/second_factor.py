"""What users do with their second factors: set up authenticator programs and passkeys, name and remove them, make recovery codes.

Whoever calls this has shown a moment ago, by what they alone have, that it is they (`ollamamax.identity.api.recent`): an identity provider
that vouches for somebody must not get a way into their account.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import one_time_codes, passkeys, sessions, sockets
from ollamamax.identity.actions import attempt
from ollamamax.identity.actions.proof import new_challenge, secret_of, site_of, take_challenge
from ollamamax.identity.models import Passkey, RecoveryCode, TotpDevice, User
from ollamamax.identity.queries.second_factor import (
    get_passkey,
    get_totp_device,
    has_factor,
    known_passkeys,
    passkeys_of,
    totp_devices,
)
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.ids import uuid7
from ollamamax.kernel.principal import Principal

MOST_DEVICES = 5
MOST_PASSKEYS = 20
MOST_NAME = 100


def begin_totp(*, user: User) -> tuple[TotpDevice, str]:
    """A secret for an authenticator program, which counts from `confirm_totp` on. One that was begun before is forgotten. Raises `Conflict`."""
    secret = one_time_codes.new_secret()
    with transaction.atomic(durable=True):
        User.objects.select_for_update().get(pk=user.pk)
        if totp_devices(user.pk).count() >= MOST_DEVICES:
            raise Conflict(f"You have {MOST_DEVICES} authenticators, as many as one may: remove one.")
        TotpDevice.objects.filter(user=user, confirmed_at=None).delete()
        device = TotpDevice(id=uuid7(), user=user)
        device.sealed_secret = settings.SECRET_BOX.seal(secret.encode(), device.place)
        device.save(force_insert=True)
    return device, secret


def confirm_totp(
    *, acting: Principal, request: HttpRequest, user: User, device_id: uuid.UUID, code: str, name: str
) -> list[str]:
    """The authenticator counts from now on; with the user's first factor come their recovery codes, which are not kept.

    Raises `NotFound`, `InvalidRequest` for a wrong code, and `Overloaded` after too many.
    """
    attempt.count("factor", user.pk.hex)
    with transaction.atomic(durable=True):
        User.objects.select_for_update().get(pk=user.pk)
        device = TotpDevice.objects.filter(pk=device_id, user=user, confirmed_at=None).first()
        if device is None:
            raise NotFound("There is no such authenticator that waits for its first code.")
        step = one_time_codes.step_of(code, secret_of(device), now=time.time(), after=0)
        if step is None:
            raise InvalidRequest("The code is wrong. Look whether the clock of your device is right.", param="code")
        first = not has_factor(user.pk)
        attempt.give_back("factor", user.pk.hex)
        device.last_step, device.confirmed_at, device.name = step, timezone.now(), named(name)
        device.save(update_fields=["last_step", "confirmed_at", "name"])
        codes = _new_codes(user) if first else []
        _enrolled(request, user, "totp")
        record(
            acting=acting,
            action="user.add_authenticator",
            target_type="user",
            target_id=user.pk,
            tenant=None,
            detail={"email": user.email, "name": device.name},
        )
    return codes


def begin_passkey(*, request: HttpRequest, user: User) -> dict[str, Any]:
    """What the browser is asked to make a passkey of. Raises `Conflict`, and `Unsupported` where passkeys cannot work."""
    site = site_of(request)
    if passkeys_of(user.pk).count() >= MOST_PASSKEYS:
        raise Conflict(f"You have {MOST_PASSKEYS} passkeys, as many as one may: remove one.")
    return passkeys.registration(
        site,
        user=user.pk.bytes,
        email=user.email,
        name=user.name or user.email,
        known=known_passkeys(user.pk, site.host),
        challenge=new_challenge(request, "register"),
    )


def add_passkey(
    *, acting: Principal, request: HttpRequest, user: User, credential: Mapping[str, Any], name: str
) -> tuple[Passkey, list[str]]:
    """With the user's first factor come their recovery codes, which are not kept.

    Raises `InvalidRequest` for what does not answer the challenge, and `Conflict` for a passkey that is registered already.
    """
    site = site_of(request)
    made = passkeys.registered(site, credential, take_challenge(request, "register"))
    try:
        with transaction.atomic(durable=True):
            User.objects.select_for_update().get(pk=user.pk)
            if passkeys_of(user.pk).count() >= MOST_PASSKEYS:
                raise Conflict(f"You have {MOST_PASSKEYS} passkeys, as many as one may: remove one.")
            first = not has_factor(user.pk)
            passkey = Passkey.objects.create(
                user=user,
                name=named(name) or "Passkey",
                host=site.host,
                credential_id=made.credential_id,
                public_key=made.public_key,
                sign_count=made.sign_count,
                transports=passkeys.transports_of(credential),
                backed_up=made.backed_up,
            )
            codes = _new_codes(user) if first else []
            _enrolled(request, user, "passkey")
            record(
                acting=acting,
                action="user.add_passkey",
                target_type="user",
                target_id=user.pk,
                tenant=None,
                detail={"email": user.email, "name": passkey.name, "host": passkey.host},
            )
    except IntegrityError as error:
        raise Conflict("This passkey is registered already.") from error
    return passkey, codes


def rename_factor(*, acting: Principal, factor: TotpDevice | Passkey, name: str) -> None:
    """Raises `InvalidRequest`."""
    name = named(name)
    if not name:
        raise InvalidRequest("Give it a name.", param="name")
    with transaction.atomic(durable=True):
        type(factor).objects.filter(pk=factor.pk).update(name=name)
        record(
            acting=acting,
            action="user.rename_factor",
            target_type="user",
            target_id=factor.user_id,
            tenant=None,
            detail={"kind": _kind(factor), "before": factor.name, "after": name},
        )


def remove_factor(*, acting: Principal, factor: TotpDevice | Passkey) -> None:
    """With the last one go the recovery codes. Where a tenant asks for a factor, its user is let in there again once they have another."""
    user = factor.user_id
    with transaction.atomic(durable=True):
        User.objects.select_for_update().get(pk=user)
        factor.delete()
        if not has_factor(user):
            RecoveryCode.objects.filter(user=user).delete()
        record(
            acting=acting,
            action="user.remove_factor",
            target_type="user",
            target_id=user,
            tenant=None,
            detail={"kind": _kind(factor), "name": factor.name},
        )
        sockets.recheck_on_commit([user])


def remove_all_factors(*, acting: Principal, user_id: uuid.UUID) -> int:
    """For who lost them all: the system does it, on the machine that runs the installation. Returns how many there were."""
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update().get(pk=user_id)
        removed = totp_devices(user.pk).delete()[0] + passkeys_of(user.pk).delete()[0]
        RecoveryCode.objects.filter(user=user).delete()
        record(
            acting=acting,
            action="user.remove_all_factors",
            target_type="user",
            target_id=user.pk,
            tenant=None,
            detail={"email": user.email, "removed": removed},
        )
        sockets.recheck_on_commit([user.pk])
    return removed


def make_recovery_codes(*, acting: Principal, user: User) -> list[str]:
    """Ten new ones, which are not kept; those before work no more. Raises `Conflict` for who has no factor that they could stand for."""
    with transaction.atomic(durable=True):
        User.objects.select_for_update().get(pk=user.pk)
        if not has_factor(user.pk):
            raise Conflict("Recovery codes stand for a second factor: set one up first.")
        codes = _new_codes(user)
        record(
            acting=acting,
            action="user.make_recovery_codes",
            target_type="user",
            target_id=user.pk,
            tenant=None,
            detail={"email": user.email},
        )
    return codes


def find_factor(user: uuid.UUID, kind: str, factor_id: uuid.UUID) -> TotpDevice | Passkey:
    """Raises `NotFound`."""
    return get_totp_device(user, factor_id) if kind == "totp" else get_passkey(user, factor_id)


def named(name: str) -> str:
    if len(name) > MOST_NAME:
        raise InvalidRequest(f"A name has at most {MOST_NAME} characters.", param="name")
    return name.strip()


def _new_codes(user: User) -> list[str]:
    codes = one_time_codes.new_recovery_codes()
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user=user, code_hash=one_time_codes.hash_of_recovery_code(code)) for code in codes
    )
    return codes


def _enrolled(request: HttpRequest, user: User, factor: sessions.Factor) -> None:
    """Who set a factor up has just shown that they have it: their session is as one that began with it, if it began with a password."""
    now = time.time()
    log_in = sessions.log_in_of(request.session)
    if log_in is not None and log_in.method == "password" and not log_in.factor:
        sessions.remember(request.session, sessions.LogIn("password", "", log_in.at, factor))
    sessions.confirm(request.session, "passkey" if factor == "passkey" else "totp", now)
    sockets.recheck_on_commit([user.pk])


def _kind(factor: TotpDevice | Passkey) -> str:
    return "totp" if isinstance(factor, TotpDevice) else "passkey"
