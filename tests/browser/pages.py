"""The console's pages that are there in every installation, by name: what the tests look at, and what pictures are taken of."""

from __future__ import annotations

PAGES = {
    "overview": "/",
    "nodes": "/nodes",
    "join-page": "/nodes/join",
    "models": "/models",
    "jobs": "/jobs",
    "queue": "/queue",
    "requests": "/requests",
    "playground": "/playground",
    "keys": "/keys",
    "usage": "/usage",
    "members": "/members",
    "roles": "/roles",
    "teams": "/teams",
    "service-accounts": "/service-accounts",
    "access": "/access",
    "single-sign-on": "/single-sign-on",
    "tenants": "/tenants",
    "incidents": "/incidents",
    "webhooks": "/webhooks",
    "limits": "/limits",
    "budgets": "/budgets",
    "batches": "/batches",
    "audit": "/audit",
    "audit-record": "/audit/tenant/1",
    "audit-keeping": "/audit/keeping",
    "settings": "/settings",
    "system": "/system",
    "account": "/account",
}
