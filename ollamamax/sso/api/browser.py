"""Where a browser begins: it is led to an identity provider, whatever that speaks."""

from __future__ import annotations

import uuid
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from ollamamax.identity.actions import attempt
from ollamamax.identity.models import User
from ollamamax.identity.throttle import network_of
from ollamamax.kernel.errors import Overloaded
from ollamamax.sso.api.ldap import begin_ldap
from ollamamax.sso.api.oidc import begin_oidc
from ollamamax.sso.api.returning import LOG_IN, PATH, STATE_SECONDS, enabled_provider, told
from ollamamax.sso.api.saml import begin_saml
from ollamamax.sso.models import IdentityProvider
from ollamamax.sso.refusals import SsoRefused, Why

_BEGIN = {
    IdentityProvider.Kind.OIDC: begin_oidc,
    IdentityProvider.Kind.SAML: begin_saml,
    IdentityProvider.Kind.LDAP: begin_ldap,
}


def begin_at(
    request: HttpRequest, provider: IdentityProvider, mode: str = LOG_IN, then: str = "/", hint: str = ""
) -> str:
    """The provider's address to lead the browser to. What comes back counts in this session alone. Raises `SsoRefused`."""
    user = request.user.pk.hex if isinstance(request.user, User) else ""
    asked = {"provider": provider.pk.hex, "mode": mode, "then": then, "user": user}
    address = _BEGIN[IdentityProvider.Kind(provider.kind)](request, provider, asked, hint)
    if not user:
        # Nobody is logged in yet: of whoever does not come back nothing stays.
        request.session.set_expiry(int(STATE_SECONDS))
    return address


@require_GET
@never_cache
def begin(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """Lead to the provider. Under another name than the public one, where the provider would not lead back to, by way of that."""
    if request.get_host() != urlsplit(settings.PUBLIC_URL).netloc and "moved" not in request.GET:
        query = urlencode({**request.GET.dict(), "moved": "1"})
        return HttpResponseRedirect(f"{settings.PUBLIC_URL.rstrip('/')}{request.path}?{query}")
    then = request.GET.get("next", "/")
    try:
        provider = enabled_provider(provider_id)
        _count(request)
        return HttpResponseRedirect(begin_at(request, provider, then=then if PATH.fullmatch(then) else "/"))
    except SsoRefused as refused:
        return told(refused, provider_id)


def _count(request: HttpRequest) -> None:
    """Each way that is begun keeps a session of nobody for a while. Raises `SsoRefused` for an address that begins too many."""
    try:
        attempt.count("sso", network_of(request.META.get("REMOTE_ADDR", "")))
    except Overloaded as error:
        raise SsoRefused(Why.TOO_OFTEN, error.message) from error
