"""Settings of the tests: the product's own, on servers that `tests.conftest` starts, or that the environment names."""

import os
import secrets

os.environ.setdefault("OLLAMAMAX_SECRET_KEY", secrets.token_urlsafe(50))
os.environ.setdefault("DATABASE_URL", "postgresql://unused@127.0.0.1:1/unused")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")

from ollamamax.settings import *  # noqa: F403
from ollamamax.settings import DATABASES

# Transactions of tests are long; a pool would hold them over the end of a test database.
DATABASES["default"]["OPTIONS"].pop("pool", None)  # type: ignore[attr-defined]
PASSWORD_HASHERS = ["tests.hashers.QuickArgon2"]
