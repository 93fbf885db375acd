"""Writes of the rules that say which roles a provider's people get, and who may have roles given by them."""

from __future__ import annotations

from collections.abc import Sequence

from ollamamax.identity.models import Membership, Role, Tenant
from ollamamax.identity.queries.role import find_role
from ollamamax.identity.rights import require_over_owners, require_to_grant
from ollamamax.identity.roles import counted
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.principal import Principal
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import ExternalIdentity, IdentityProvider, RoleRule

MOST_RULES = 200


def require_to_give(by: Principal, tenant: Tenant, role: Role) -> None:
    """Nobody has others given what they may not give. Raises `Forbidden`."""
    if role.is_owners:
        require_over_owners(by)
    require_to_grant(by, counted(role.permissions, in_operator=tenant.is_operator))


def require_to_give_all(by: Principal, tenant: Tenant, provider: IdentityProvider) -> None:
    """Whoever says who vouches gives what that one's word gives, and could be anybody who is known by it. Raises `Forbidden`."""
    given = {each.role_id: each.role for each in provider.rules.select_related("role")}
    if provider.default_role:
        given[provider.default_role.pk] = provider.default_role
    known = ExternalIdentity.objects.filter(provider=provider).values("user")
    given |= {each.role_id: each.role for each in Membership.objects.filter(user__in=known).select_related("role")}
    for role in given.values():
        require_to_give(by, tenant, role)


def replace_rules(by: Principal, tenant: Tenant, provider: IdentityProvider, rules: Sequence[Rule]) -> bool:
    """Whether they are others than before."""
    before = [Rule(each.claim, each.pattern, each.role.slug) for each in provider.rules.select_related("role")]
    if before == list(rules):
        return False
    if len(rules) > MOST_RULES:
        raise InvalidRequest(f"A provider has {MOST_RULES} rules at most.", param="rules")
    roles = {slug: find_role(slug) for slug in {each.role for each in rules}}
    # Those that stay too: another pattern, or another order, gives them to others.
    for role in roles.values():
        require_to_give(by, tenant, role)
    provider.rules.all().delete()
    RoleRule.objects.bulk_create(
        RoleRule(
            tenant=tenant,
            provider=provider,
            position=place,
            claim=each.claim,
            pattern=each.pattern,
            role=roles[each.role],
        )
        for place, each in enumerate(rules)
    )
    return True
