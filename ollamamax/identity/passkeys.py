"""The ceremony of passkeys (WebAuthn): what a browser is asked, and whether what came back is right. Reads and writes nothing.

https://www.w3.org/TR/webauthn-3/
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import webauthn
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ollamamax.kernel.errors import InvalidRequest, Unsupported

SECONDS = 300.0
"""How long an answer to a challenge is taken."""


@dataclass(frozen=True)
class Site:
    """Where the ceremony takes place: the host's name, to which a passkey is bound, and the origin that the browser signs."""

    host: str
    origin: str


@dataclass(frozen=True)
class NewPasskey:
    credential_id: bytes
    public_key: bytes
    sign_count: int
    backed_up: bool


@dataclass(frozen=True)
class KnownPasskey:
    credential_id: bytes
    public_key: bytes = b""
    sign_count: int = 0
    transports: tuple[str, ...] = ()


def site_of(scheme: str, host: str) -> Site:
    """``host`` as the ``Host`` header has it. Raises `Unsupported` for an address: browsers bind passkeys to names alone."""
    if not has_name(host):
        raise Unsupported("Passkeys need a host with a name: open the console by that, or as localhost.", param="host")
    return Site(host.partition(":")[0].lower(), f"{scheme}://{host.lower()}")


def has_name(host: str) -> bool:
    if host.startswith("["):
        return False
    try:
        ipaddress.ip_address(host.partition(":")[0])
    except ValueError:
        return True
    return False


def registration(
    site: Site, *, user: bytes, email: str, name: str, known: Iterable[KnownPasskey], challenge: bytes
) -> dict[str, Any]:
    """What the browser is asked to make a passkey of; those that are ``known`` are not made twice."""
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name="OllamaMax",
        user_id=user,
        user_name=email,
        user_display_name=name,
        challenge=challenge,
        timeout=int(SECONDS * 1000),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=_described(known),
    )
    return _as_dict(options)


def registered(site: Site, credential: Mapping[str, Any], challenge: bytes) -> NewPasskey:
    """Raises `InvalidRequest` for what is no answer to this challenge."""
    try:
        found = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
        )
    except _BROKEN as error:
        raise InvalidRequest("The passkey could not be registered. Try again.", param="credential") from error
    return NewPasskey(
        found.credential_id, found.credential_public_key, found.sign_count, bool(found.credential_backed_up)
    )


def question(site: Site, *, known: Iterable[KnownPasskey], challenge: bytes, alone: bool) -> dict[str, Any]:
    """What the browser is asked to sign. ``alone``: the passkey is all that is asked for, so it must verify its user (by PIN or body)."""
    wanted = UserVerificationRequirement.REQUIRED if alone else UserVerificationRequirement.PREFERRED
    options = webauthn.generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        timeout=int(SECONDS * 1000),
        allow_credentials=_described(known),
        user_verification=wanted,
    )
    return _as_dict(options)


def credential_id_of(credential: Mapping[str, Any]) -> bytes:
    """Which passkey an answer says it is of; nothing for none."""
    text = credential.get("rawId")
    try:
        return webauthn.base64url_to_bytes(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def proven(
    site: Site, credential: Mapping[str, Any], challenge: bytes, known: KnownPasskey, *, alone: bool
) -> int | None:
    """The count of signatures that the authenticator tells; ``None`` for an answer that proves nothing."""
    try:
        return webauthn.verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
            require_user_verification=alone,
        ).new_sign_count
    except _BROKEN:
        return None


_BROKEN = (
    WebAuthnException,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)
"""What the library raises of answers that are forged, cut, or of other types."""


def _described(known: Iterable[KnownPasskey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=each.credential_id, transports=[AuthenticatorTransport(name) for name in each.transports] or None
        )
        for each in known
    ]


def transports_of(credential: Mapping[str, Any]) -> list[str]:
    """Those of the closed list that the browser names."""
    response = credential.get("response")
    named = response.get("transports") if isinstance(response, Mapping) else None
    known = {each.value for each in AuthenticatorTransport}
    return sorted({each for each in named if isinstance(each, str)} & known) if isinstance(named, list) else []


def _as_dict(options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return found
