"""What follows when a browser comes back from an identity provider, whatever that speaks: a log-in, a link, or what a test received.

Whatever goes wrong leads to a page of the console that says what: its address holds a reason of a closed list, and nothing that was sent here.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ollamamax import logs
from ollamamax.identity.actions import attempt
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.models import User
from ollamamax.sso.actions.arrival import log_in_through, tell_refusal
from ollamamax.sso.actions.linking import keep_pending
from ollamamax.sso.actions.role import decision_of
from ollamamax.sso.models import IdentityProvider
from ollamamax.sso.queries.provider import find_provider
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.vouched import Vouched

LOG_IN, LINK, TEST = "log_in", "link", "test"
TESTED = "sso_tested"
"""The session's entry that holds what its last test of a provider received."""
STATE_SECONDS = 900.0
MOST_ASKED = 20
PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\]{0,1000}")
log = logs.get(__name__)


class Return:
    """One browser that came back; what is known of it grows on the way."""

    def __init__(self, request: HttpRequest, provider_id: uuid.UUID) -> None:
        self.request, self.provider_id = request, provider_id
        self.asked: dict[str, Any] = {}
        self.provider: IdentityProvider | None = None
        self.vouched: Vouched | None = None

    def answered(self, follow: Callable[[Return], HttpResponse]) -> HttpResponse:
        """What ``follow`` makes of it, or the page that says why it was refused."""
        try:
            return follow(self)
        except SsoRefused as refused:
            return self._refused(refused)

    def take(self, held: dict[str, Any], name: str, entry: str) -> None:
        """What this session asked for under this name, which counts once. ``held`` is the session's ``entry``. Raises `SsoRefused`."""
        asked: dict[str, Any] | None = held.pop(name, None)
        refused = SsoRefused(Why.UNKNOWN_STATE, "This session asked for no such log-in, or has its answer already.")
        if asked is None:
            raise refused
        self.request.session[entry] = held
        # Kept now: what comes of it may take a while, and must not count twice meanwhile.
        self.request.session.save()
        if not attempt.is_first_use(f"{self.provider_id} {name}".encode(), STATE_SECONDS):
            raise refused
        self._check(asked)

    def look(self, held: dict[str, Any], name: str) -> None:
        """As `take` does, and lets it be asked for again. Raises `SsoRefused`."""
        if name not in held:
            raise SsoRefused(Why.UNKNOWN_STATE, "This session asked for no such log-in, or has its answer already.")
        self._check(held[name])

    def _check(self, asked: dict[str, Any]) -> None:
        """Raises `SsoRefused` for what is not this browser's to come back with now."""
        if asked.get("provider") != self.provider_id.hex:
            raise SsoRefused(Why.OTHER_PROVIDER, "The log-in was asked of another provider.")
        if time.time() - asked["added_on"] > STATE_SECONDS:
            raise SsoRefused(Why.STATE_EXPIRED, "The log-in took too long.")
        user = self.request.user.pk.hex if isinstance(self.request.user, User) else ""
        if asked["mode"] != LOG_IN and asked["user"] != user:
            raise SsoRefused(Why.NOT_LOGGED_IN, "Whoever asked for this is not logged in any more.")
        self.asked = asked

    def arrive(self, provider: IdentityProvider, vouched: Vouched) -> HttpResponse:
        """Raises `SsoRefused`."""
        self.vouched = vouched
        if self.asked["mode"] == TEST:
            return keep_test(self.request, self.provider_id, vouched, provider=provider)
        user = self.request.user if self.asked["mode"] == LINK and isinstance(self.request.user, User) else None
        log_in_through(
            request=self.request, provider=provider, vouched=vouched, request_id=id_of(self.request), user=user
        )
        return HttpResponseRedirect(self.asked["then"])

    def _refused(self, refused: SsoRefused) -> HttpResponse:
        log.info("sso_refused", provider=self.provider_id.hex, why=str(refused.why), detail=refused.detail)
        if self.asked.get("mode") == TEST:
            return keep_test(self.request, self.provider_id, self.vouched, refused=refused)
        if self.provider is not None:
            tell_refusal(
                provider=self.provider,
                refused=refused,
                address=self.request.META.get("REMOTE_ADDR", ""),
                request_id=id_of(self.request),
                subject=self.vouched.subject if self.vouched else "",
            )
            if refused.why == Why.EMAIL_TAKEN and self.vouched is not None:
                keep_pending(request=self.request, provider=self.provider, vouched=self.vouched)
                return HttpResponseRedirect("/log-in-link")
        return told(refused, self.provider_id)


def keep_asked(request: HttpRequest, entry: str, name: str, asked: dict[str, Any]) -> None:
    """Keep what this session asks for under this name, in its ``entry``; of too many the oldest goes."""
    held = request.session.get(entry, {})
    while len(held) >= MOST_ASKED:
        held.pop(min(held, key=lambda each: held[each]["added_on"]))
    request.session[entry] = held | {name: asked | {"added_on": time.time()}}


def enabled_provider(provider_id: uuid.UUID, *kinds: str) -> IdentityProvider:
    """One of these kinds, of any where none is named. Raises `SsoRefused`."""
    found = find_provider(provider_id)
    if found is None or (kinds and found.kind not in kinds):
        raise SsoRefused(Why.UNKNOWN_PROVIDER, "There is no such identity provider that is enabled.")
    return found


def keep_test(
    request: HttpRequest,
    provider_id: uuid.UUID,
    vouched: Vouched | None,
    *,
    provider: IdentityProvider | None = None,
    refused: SsoRefused | None = None,
) -> HttpResponse:
    """Nothing is made of it: the one who tests sees what was received."""
    decision = None if provider is None or vouched is None else decision_of(provider, vouched.claims)
    request.session[TESTED] = {
        "provider": provider_id.hex,
        "at": time.time(),
        "subject": "" if vouched is None else vouched.subject,
        "claims": {} if vouched is None else dict(vouched.claims),
        "role": "" if decision is None else decision.role,
        "rule": None if decision is None else decision.rule,
        "why": "" if refused is None else str(refused.why),
        "detail": "" if refused is None else refused.detail,
        "said": "" if refused is None else refused.said,
    }
    return HttpResponseRedirect(f"/single-sign-on/{provider_id}?tab=test")


def told(refused: SsoRefused, provider_id: uuid.UUID) -> HttpResponse:
    said = {"said": refused.said} if refused.said else {}
    return HttpResponseRedirect(
        f"/log-in-problem?{urlencode({'why': str(refused.why), 'provider': str(provider_id)} | said)}"
    )
