"""Publishes small real models, each with two versions, in the first tenant: run with the product's environment, as a program on its host would."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import django

NAMES = ("assistant", "summariser", "translator", "classifier")


def main() -> None:
    """Prints, for each name, the digests of the version of ``latest`` and of the one to come."""
    django.setup()
    from models_registry.actions.version import publish_gguf
    from ollamamax.identity.models import Tenant
    from ollamamax.kernel.principal import system
    from tests.registry.conftest import write_gguf

    acting = system("a program beside the console", Tenant.objects.order_by("created_at", "id")[0].id.hex)
    published: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(NAMES):
            for place, channel in enumerate(("latest", "next")):
                file = write_gguf(Path(folder) / f"{name}-{channel}.gguf", size=8 + 2 * number + place)
                version = publish_gguf(acting=acting, file=file, name=f"{name}:{channel}")
                published.setdefault(name, []).append(version.digest)
    sys.stdout.write(json.dumps(published))


if __name__ == "__main__":
    main()
