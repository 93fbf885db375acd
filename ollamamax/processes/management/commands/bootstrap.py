"""`manage.py bootstrap`: tenant, owner, key and model of a first start, and the file that tells how to use them."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from models_registry import bundled
from models_registry.actions.version import publish_gguf
from models_registry.manifest import layers_of
from models_registry.queries.model import find_channel, has_channel
from ollamamax.identity.actions.bootstrap import bootstrap_installation
from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.queries.key import free_name
from ollamamax.identity.roles import PERMISSIONS
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.principal import system

EMAIL = "admin@localhost.localdomain"


class Command(BaseCommand):
    help = "Make what a first start needs. Safe to repeat, also after it was interrupted."

    def handle(self, *args: Any, **options: Any) -> None:
        file = settings.HOME / "bootstrap.json"
        facts: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        # The password is kept before the user is made: interrupted in between, the next run uses it.
        facts = {
            "url": settings.PUBLIC_URL,
            "admin_email": facts.get("admin_email", EMAIL),
            "admin_password": facts.get("admin_password", secrets.token_urlsafe(18)),
            **({"api_key": facts["api_key"]} if "api_key" in facts else {}),
        }
        _write(file, facts)
        acting = system("manage.py bootstrap")
        tenant, user, key = bootstrap_installation(
            acting=acting, email=facts["admin_email"], password=facts["admin_password"]
        )
        acting = system("manage.py bootstrap", tenant.id.hex)
        if key is None and "api_key" not in facts:
            # An earlier run made the key and was interrupted before it could write it down; its text is gone.
            with tenant_scope(tenant):
                name = free_name("bootstrap again")
            _, key = issue_key(acting=acting, name=name, permissions=PERMISSIONS, created_by=user.id)
        if key is not None:
            _write(file, {**facts, "api_key": key})
        model = bundled.bundled_model()
        with tenant_scope(tenant):
            if model is None:
                self.stderr.write(
                    "The bundled model is not installed; publish one with: ollamamax models add FILE.gguf"
                )
            elif not has_channel(bundled.NAME) or bundled.is_bare(
                layers_of(find_channel(bundled.NAME).version.manifest), model
            ):
                publish_gguf(acting=acting, file=model, name=bundled.NAME, aliases=bundled.ALIASES, texts=bundled.TEXTS)


def _write(file: Path, facts: dict[str, str]) -> None:
    """All or nothing, and readable for the owner only from the first byte on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".bootstrap-")
    with os.fdopen(descriptor, "w") as out:
        json.dump(facts, out, indent=2)
        out.write("\n")
    Path(name).replace(file)
