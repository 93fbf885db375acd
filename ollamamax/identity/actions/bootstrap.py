"""The first start of an installation: a tenant, its owner, and a key to begin with."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.actions.member import add_member
from ollamamax.identity.actions.tenant import create_tenant, make_operator
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.models import Tenant, User
from ollamamax.identity.queries import key as key_queries
from ollamamax.identity.queries import member as queries
from ollamamax.identity.queries import tenant as tenant_queries
from ollamamax.identity.roles import OWNER, PERMISSIONS
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.principal import Principal

SLUG = "default"
KEY_NAME = "bootstrap"


def bootstrap_installation(
    *, acting: Principal, email: str, password: str, expires_at: datetime | None = None
) -> tuple[Tenant, User, str | None]:
    """Make what is missing of: tenant `default`, an operator (it), the user as its owner, a key with every permission.

    Safe to repeat, also after it was interrupted: each step is an action of its own. An existing user keeps their
    password. The key's text is returned when the key was made now, else ``None``.
    """
    tenant = tenant_queries.find_tenant(SLUG) or create_tenant(acting=acting, slug=SLUG, name="Default")
    if tenant_queries.find_operator() is None:
        tenant = make_operator(acting=acting, tenant_id=tenant.id)
    user = queries.find_user(email) or create_user(acting=acting, email=email, password=password)
    if not queries.is_member(tenant, user):
        add_member(acting=acting, tenant=tenant, user=user, role=OWNER)
    with tenant_scope(tenant):
        if key_queries.has_key_named(KEY_NAME):
            return tenant, user, None
    _, text = issue_key(
        acting=msgspec.structs.replace(acting, tenant=tenant.id.hex),
        name=KEY_NAME,
        permissions=PERMISSIONS,
        expires_at=expires_at,
        created_by=user.id,
    )
    return tenant, user, text
