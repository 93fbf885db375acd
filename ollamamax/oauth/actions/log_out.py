"""Logs people out who logged out in an application."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

import msgspec
from django.http import HttpRequest

from ollamamax.identity.actions.session import log_out
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.queries.signing_key import public_key_of
from ollamamax.identity.sessions import current_place
from ollamamax.kernel.principal import Principal
from ollamamax.oauth.actions.exchange import issuer
from ollamamax.oauth.claims import read_hint
from ollamamax.oauth.queries.application import find_application


class LogOut(Enum):
    DONE = auto()
    ASK = auto()
    WRONG_ADDRESS = auto()


def log_out_for(*, request: HttpRequest, parameters: Mapping[str, str], request_id: str) -> LogOut:
    """End the browser's session where the application's ID token says whose it is. Without one ``ASK``: whoever is logged in has to say so themselves.

    ``post_logout_redirect_uri`` must be an address of the application's that the ID token or ``client_id`` names.
    """
    hint = read_hint(parameters.get("id_token_hint", ""), public_key_of, issuer=issuer())
    client = parameters.get("client_id") or (hint.client if hint else "")
    if hint is not None and hint.client != client:
        hint = None
    address = parameters.get("post_logout_redirect_uri")
    if address is not None:
        application = find_application(client)
        if application is None or address not in application.log_out_uris:
            return LogOut.WRONG_ADDRESS
    user = request.user
    if not isinstance(user, User):
        return LogOut.DONE
    if hint is None or hint.subject != str(user.pk):
        return LogOut.ASK
    place = current_place(request.session, tenants_of(user))
    acting = (
        Principal("user", user.pk.hex, None, user.email, request=request_id)
        if place is None
        else principal_of(user, place, request_id)
    )
    acting = msgspec.structs.replace(acting, address=str(request.META.get("REMOTE_ADDR") or ""))
    log_out(request=request, acting=acting)
    return LogOut.DONE
