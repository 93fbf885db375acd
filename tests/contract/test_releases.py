"""Programs of two releases understand each other: each reads what the other writes, and loses nothing that both know."""

from __future__ import annotations

import inspect
import re

import msgspec
import pytest

from ollamamax.contract import UsageRecord, decode_usage, encode_usage
from ollamamax.metering.actions import usage as actions
from tests.contract.release import FOLDER, held, modules
from tests.contract.samples import full, includes, least, messages

RELEASES = sorted(folder.name for folder in FOLDER.iterdir() if (folder / "messages.json").exists())
LATER_WORDS = {("v0_1", "usage"): {"outcome": "failed"}}
"""Fields whose type has got a word that the release cannot read, with one that it can. Its live page fails for a tenant of which a request
was refused lately: web processes are upgraded before gateways. Postgres takes the record as it is."""
OURS = messages(modules(None))


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_former_release_wrote_is_read_here(release: str) -> None:
    theirs = messages(modules(release))
    for name, data in held(release).items():
        message = name.partition(".")[0]
        before, now = theirs[message].decode(data), OURS[message].decode(data)
        assert includes(now, before), name


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_written_here_is_read_by_a_former_release(release: str) -> None:
    for message, theirs in messages(modules(release)).items():
        ours = OURS[message]
        for made in (least(ours.kind), full(ours.kind)):
            for field, known in LATER_WORDS.get((release, message), {}).items():
                setattr(made, field, known)
            before, now = theirs.decode(ours.encode(made)), ours.decode(ours.encode(made))
            assert includes(now, before), message


@pytest.mark.parametrize("release", RELEASES)
def test_a_refused_request_is_one_that_failed_to_a_former_release(release: str) -> None:
    made = msgspec.structs.replace(full(UsageRecord), outcome="refused")
    data = encode_usage(made)
    assert decode_usage(data) == made
    assert messages(modules(release))["usage"].decode(data).outcome in {"failed", "refused"}


def test_a_sample_has_every_field_and_survives_its_own_codec() -> None:
    for name, message in OURS.items():
        made = full(message.kind)
        assert message.decode(message.encode(made)) == made, name
        optional = [field for field in msgspec.structs.fields(message.kind) if not field.required]
        assert all(getattr(made, field.name) != getattr(least(message.kind), field.name) for field in optional), name


def test_a_release_is_kept() -> None:
    assert RELEASES


def test_the_usage_table_takes_every_field_of_a_record() -> None:
    written = inspect.getsource(actions)
    unnamed = [name for name in UsageRecord.__struct_fields__ if re.search(rf"\b{name}\b", written) is None]
    assert unnamed == ["idle_only"], "gateways count it for autoscaling, and nothing else asks"
