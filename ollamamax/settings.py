"""Django's settings. Every value from outside comes through `ollamamax.env`; nothing else reads the environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONCE
from psycopg.conninfo import conninfo_to_dict

from ollamamax import env, logs
from ollamamax.bus.connect import pool_options
from ollamamax.identity.database.primary import WritableConnection
from ollamamax.mail.server import server_of
from ollamamax.outbound.addresses import Rules
from ollamamax.secret_box import SecretBox, derived_key

try:
    ENV = env.read()
except env.EnvironmentInvalid as error:
    sys.exit(str(error))

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY: str = ENV["OLLAMAMAX_SECRET_KEY"]
SECRET_BOX = SecretBox([*ENV["OLLAMAMAX_SECRET_BOX_KEYS"], derived_key(SECRET_KEY)])
DEBUG = False
HOME: Path = ENV["OLLAMAMAX_HOME"].resolve()
REDIS_URL: str = ENV["REDIS_URL"]
HOST: str = ENV["HOST"]
PORT: int = ENV["PORT"]
TLS = bool(ENV["OLLAMAMAX_TLS_CERT"])
PUBLIC_URL: str = ENV["OLLAMAMAX_PUBLIC_URL"] or f"{'https' if TLS else 'http'}://{HOST}:{PORT}"
MAIL = server_of(ENV.values)
OUTBOUND_RULES = Rules(networks=ENV["OLLAMAMAX_OUTBOUND_NETWORKS"], http=ENV["OLLAMAMAX_OUTBOUND_HTTP"])
HTTPS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    urlsplit(PUBLIC_URL).hostname or HOST,
    *([HOST] if HOST not in {"0.0.0.0", "::", ""} else []),  # noqa: S104 - no name to be called by
    *ENV["OLLAMAMAX_ALLOWED_HOSTS"],
]

INSTALLED_APPS = [
    "ollamamax.identity",  # before Django's users: its commands take the place of theirs
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "guardian",
    "ollamamax.bus",
    "ollamamax.audit",
    "ollamamax.sso",
    "ollamamax.provisioning",
    "ollamamax.oauth",
    "ollamamax.mail",
    "ollamamax.metering",
    "ollamamax.notifications",
    "cluster",
    "models_registry",
    "ollamamax.batches",
    "ollamamax.responses",
    "ollamamax.evaluations",
    "ollamamax.processes",
    "dashboard",
]
MIDDLEWARE = [
    "ollamamax.identity.api.request_id.request_id",
    "ollamamax.identity.api.encrypted.Encrypted",
    "csp.middleware.CSPMiddleware",
    "ollamamax.identity.session_cookie.PatientSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "ollamamax.urls"
ASGI_APPLICATION = "ollamamax.asgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"


POOL: dict[str, Any] = {"min_size": 1, "max_size": 8, "timeout": 5, "reconnect_timeout": 1.0}
"""The pool doubles its pause while the server is away, up to the last: minutes after minutes. It gives up early instead, and
the next request that needs a connection makes a new attempt."""


def database(url: str) -> dict[str, object]:
    """Django's dictionary for a PostgreSQL URL (libpq's form, RFC 3986 escapes); options pass to libpq unchanged."""
    options: dict[str, object] = dict(conninfo_to_dict(url))
    named = {
        name: str(options.pop(key, None) or "")
        for name, key in (
            ("NAME", "dbname"),
            ("USER", "user"),
            ("PASSWORD", "password"),
            ("HOST", "host"),
            ("PORT", "port"),
        )
    }
    pool = POOL | ({"connection_class": WritableConnection} if "," in named["HOST"] else {})
    return named | {
        "ENGINE": "ollamamax.identity.database",
        "CONN_MAX_AGE": 0,
        # Of a server that was restarted, the pool's connections are found broken before a request is given one.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, "pool": pool, **options},
    }


DATABASES = {"default": database(ENV["DATABASE_URL"])}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # The layer waits 5 s in one command: the client's own time-out, 5 s too, would break every socket that is idle.
        "CONFIG": {"hosts": [{"socket_timeout": 15} | pool_options(REDIS_URL)], "prefix": "omx:channels"},
    }
}

AUTH_USER_MODEL = "identity.User"
# An email address is unique whatever its case: a constraint on lower(email), which this check does not see.
# Django's SecurityMiddleware is there, as `Encrypted`, and the check looks for its name.
# What anybody may is asked of `Principal.may` alone, and of no backend of django-guardian's.
SILENCED_SYSTEM_CHECKS = ["auth.E003", "security.W001", "guardian.W001"]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
# django-guardian keeps the grants of members and teams on single objects, in tables of ours that know the tenant; and nobody is anonymous.
GUARDIAN_USER_OBJ_PERMS_MODEL = "identity.MemberGrant"
GUARDIAN_GROUP_OBJ_PERMS_MODEL = "identity.TeamGrant"
GUARDIAN_MONKEY_PATCH_USER = GUARDIAN_MONKEY_PATCH_GROUP = False
ANONYMOUS_USER_NAME = None
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
# Compared as text with the Origin header, which has neither a path nor a trailing slash.
CSRF_TRUSTED_ORIGINS = [f"{urlsplit(PUBLIC_URL).scheme}://{urlsplit(PUBLIC_URL).netloc}"]
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if ENV["OLLAMAMAX_TLS_PROXY"]:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'", NONCE],
        "style-src": ["'self'", NONCE],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
CONSOLE = BASE_DIR / "frontend" / "dist"
# Compressed once, when they are collected: the web process only sends files.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedStaticFilesStorage"},
}
STATICFILES_DIRS = [("console", CONSOLE)] if CONSOLE.is_dir() else []

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["ollamamax.identity.api.denied.Denied"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["ollamamax.identity.api.parsers.Json"],
    "DEFAULT_SCHEMA_CLASS": "ollamamax.identity.api.described.DescribedSchema",
    "EXCEPTION_HANDLER": "ollamamax.identity.api.problems.handle",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "OllamaMax management API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "ConditionEnum": "cluster.api.health.CONDITIONS",
        "WebhookDeliveryStateEnum": "ollamamax.notifications.models.delivery.WebhookDelivery.State",
        "MemberStateEnum": "ollamamax.identity.api.serializers.MEMBER_STATES",
        "IdentityProviderKindEnum": "ollamamax.sso.models.provider.IdentityProvider.Kind",
        "EvaluationCheckKindEnum": "ollamamax.evaluations.cases.CHECKS",
        "EvaluationRoleEnum": "ollamamax.evaluations.cases.ROLES",
        "ObjectKindEnum": "ollamamax.identity.api.serializers.OBJECT_KINDS",
        "RolloutKindEnum": "models_registry.models.rollout.Rollout.Kind",
        "ExperimentRunStateEnum": "cluster.models.experiment.ExperimentRun.State",
        "ExperimentVerdictEnum": "cluster.api.experiment_run.VERDICTS",
    },
}

LOGGING_CONFIG = None
logs.configure(ENV["OLLAMAMAX_LOG_LEVEL"])
