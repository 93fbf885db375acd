"""Reads of what a person can prove that they are themselves by."""

from __future__ import annotations

import uuid

from django.db import models

from ollamamax.identity.models import Passkey, RecoveryCode, TotpDevice
from ollamamax.identity.passkeys import KnownPasskey
from ollamamax.kernel.errors import NotFound


def totp_devices(user: uuid.UUID) -> models.QuerySet[TotpDevice]:
    """Those that count, the newest first."""
    return TotpDevice.objects.filter(user=user, confirmed_at__isnull=False).order_by("-created_at", "-id")


def passkeys_of(user: uuid.UUID) -> models.QuerySet[Passkey]:
    return Passkey.objects.filter(user=user).order_by("-created_at", "-id")


def unused_codes(user: uuid.UUID) -> models.QuerySet[RecoveryCode]:
    return RecoveryCode.objects.filter(user=user, used_at=None)


def has_factor(user: uuid.UUID) -> bool:
    """Recovery codes alone are none. Queries: 1 or 2."""
    return totp_devices(user).exists() or passkeys_of(user).exists()


def get_totp_device(user: uuid.UUID, device_id: uuid.UUID) -> TotpDevice:
    """Raises `NotFound`, for another's too."""
    found = totp_devices(user).filter(pk=device_id).first()
    if found is None:
        raise NotFound("There is no such authenticator of yours.")
    return found


def get_passkey(user: uuid.UUID, passkey_id: uuid.UUID) -> Passkey:
    """Raises `NotFound`, for another's too."""
    found = passkeys_of(user).filter(pk=passkey_id).first()
    if found is None:
        raise NotFound("There is no such passkey of yours.")
    return found


def known_passkey(passkey: Passkey) -> KnownPasskey:
    return KnownPasskey(
        bytes(passkey.credential_id), bytes(passkey.public_key), passkey.sign_count, tuple(passkey.transports)
    )


def known_passkeys(user: uuid.UUID, host: str) -> list[KnownPasskey]:
    """Those that work under this host's name."""
    return [known_passkey(each) for each in passkeys_of(user).filter(host=host)]


def ways_of(user: uuid.UUID, host: str) -> list[str]:
    """Which factors the user has under this host's name: ``totp``, ``passkey``, ``recovery_code``; empty for one without any factor."""
    if not has_factor(user):
        return []
    return [
        name
        for name, there in (
            ("totp", totp_devices(user).exists()),
            ("passkey", passkeys_of(user).filter(host=host).exists()),
            ("recovery_code", unused_codes(user).exists()),
        )
        if there
    ]
