"""What a name on the command line means: a model's channel, one of its versions, a node, a rollout."""

from __future__ import annotations

import re
import uuid
from typing import Any

from models_registry.manifest import split_name
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.remote.api import RemoteApi
from ollamamax.remote.exits import CommandFailed, ExitStatus

_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


def name_and_tag(text: str) -> tuple[str, str]:
    """Raises `CommandFailed`."""
    try:
        return split_name(text)
    except InvalidRequest as error:
        raise CommandFailed(error.message, ExitStatus.USAGE) from None


def channels_of(api: RemoteApi, model: str) -> list[dict[str, Any]]:
    """Rows of `/models`, one for each channel of the model. Raises `CommandFailed` where there is none."""
    found = [row for row in api.listed("/api/v1/models", name=model) if row["name"].rpartition(":")[0] == model]
    if not found:
        raise CommandFailed(f"There is no model '{model}' for this key.", code="model_not_found")
    return found


def channel(api: RemoteApi, text: str) -> dict[str, Any]:
    """The row of ``model:channel``. Raises `CommandFailed`."""
    model, tag = name_and_tag(text)
    for row in channels_of(api, model):
        if row["name"] == f"{model}:{tag}":
            return row
    raise CommandFailed(f"The model '{model}' has no channel '{tag}'.", code="model_not_found")


def version(api: RemoteApi, text: str) -> dict[str, Any]:
    """The version of ``model@sha256:...``, as few digits of it as are clear and at least 6, or that of ``model:channel``. Raises `CommandFailed`."""
    model, at, digest = text.partition("@")
    if not at:
        found = channel(api, text)
        return version_in(api, found, found["version"])
    return version_in(api, channels_of(api, name_and_tag(model)[0])[0], digest)


def version_in(api: RemoteApi, channel_row: dict[str, Any], digest: str) -> dict[str, Any]:
    """The version of the model that has this channel. Raises `CommandFailed`."""
    asked = _PREFIX.fullmatch(digest)
    if asked is None:
        raise CommandFailed(f"'{digest}' is no digest, nor the first 6 digits of one or more.", ExitStatus.USAGE)
    rows = api.listed(f"/api/v1/models/{channel_row['id']}/versions")
    found = [row for row in rows if row["version"].startswith(f"sha256:{asked[1]}")]
    if len(found) != 1:
        how = "no version" if not found else f"{len(found)} versions"
        raise CommandFailed(f"The model has {how} {digest}.", code="not_found" if not found else "ambiguous")
    return found[0]


def node(api: RemoteApi, text: str) -> dict[str, Any]:
    """By its name or id. Raises `CommandFailed`."""
    if _is_id(text):
        found: dict[str, Any] = api.get(f"/api/v1/nodes/{text}")
        return found
    rows = [row for row in api.listed("/api/v1/nodes", name=text) if row["name"] == text]
    if len(rows) != 1:
        how = "no node" if not rows else f"{len(rows)} nodes"
        raise CommandFailed(f"There is {how} '{text}' for this key.", code="not_found" if not rows else "ambiguous")
    return rows[0]


def rollout(api: RemoteApi, text: str) -> dict[str, Any]:
    """By its id, or the last one of ``model:channel``. Raises `CommandFailed`."""
    if _is_id(text):
        found: dict[str, Any] = api.get(f"/api/v1/rollouts/{text}")
        return found
    last = last_rollout(api, channel(api, text))
    if last is None:
        raise CommandFailed(f"There was no rollout of '{text}' yet.", code="not_found")
    return last


def last_rollout(api: RemoteApi, channel_row: dict[str, Any]) -> dict[str, Any] | None:
    tag = channel_row["name"].rpartition(":")[2]
    rows = api.listed(f"/api/v1/models/{channel_row['id']}/rollouts")
    return next((row for row in rows if row["channel"] == tag), None)


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
