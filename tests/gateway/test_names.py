"""A model is found by each spelling of its name that Ollama reads, and by no other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry.spelling import canonical, shortest
from ollamamax.bus import directory
from ollamamax.contract import ModelState
from ollamamax.contract.tables import MODELS, Listed
from tests.gateway.conftest import Site
from tests.gateway.test_fallbacks import add_model, add_node, version
from tests.patience import until

SPELLINGS = [
    *("Echo", "ECHO:Latest", "echo:latest", " echo ", "library/echo", "Library/Echo:latest"),
    *("registry.ollama.ai/library/echo", "https://registry.ollama.ai/library/echo:latest"),
    *("http://Registry.Ollama.AI/library/echo", "echo:local", "registry.ollama.ai/echo"),
]
OTHERS = [
    "library/library/echo",
    "other/echo",
    "example.com/library/echo",
    "echo:1",
    "ech",
    "https://echo",
    ":latest",
    "/",
]


@pytest.mark.parametrize("name", SPELLINGS)
async def test_every_spelling_is_the_model_in_every_api(site: Site, name: str) -> None:
    node = await site.add_node()
    say = [{"role": "user", "content": "one"}]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/api/chat", {"messages": say, "stream": False}),
        ("/v1/chat/completions", {"messages": say}),
        ("/v1/messages", {"messages": say, "max_tokens": 5}),
    ]
    for path, body in calls:
        async with site.post(path, {"model": name, **body}) as response:
            assert response.status == 200, path
            assert (await response.json())["model"] == name
    assert {ticket.model for ticket in node.tickets} == {"echo"} or {t.model for t in node.tickets} == {"echo:latest"}


async def test_one_version_is_asked_for_by_its_digest_in_every_api_and_listed_nowhere(site: Site) -> None:
    node = await site.add_node()
    listed = msgspec.to_builtins((await site.gateway.start()).directory.get(MODELS, f"{site.tenant}/echo:latest"))
    name = f"echo@{listed['version']}"
    entry = msgspec.json.encode({**listed, "deprecated": True})
    directory.publish(site.client, "models", {f"{site.tenant}/{name}": entry})
    say = [{"role": "user", "content": "one"}]
    for path, body in (
        ("/api/chat", {"messages": say, "stream": False}),
        ("/v1/chat/completions", {"messages": say}),
        ("/v1/messages", {"messages": say, "max_tokens": 5}),
    ):
        async with site.post(path, {"model": name, **body}) as response:
            assert (response.status, (await response.json())["model"]) == (200, name)
            assert response.headers["x-ollamamax-version"] == listed["version"]
            assert response.headers["x-ollamamax-deprecated"] == "version"
        async with site.post(path, {"model": "echo", **body}) as response:
            assert "x-ollamamax-deprecated" not in response.headers
    assert {ticket.version for ticket in node.tickets} == {listed["version"]}
    async with site.get("/v1/models") as response:
        assert [each["id"] for each in (await response.json())["data"]] == ["echo:latest"]
    async with site.post("/api/chat", {"model": f"echo@sha256:{'0' * 64}", "messages": say}) as response:
        assert response.status == 404


def _share(listed: Listed | None) -> float | None:
    return listed.trial.share if listed is not None and listed.trial is not None else None


async def test_a_share_of_conversations_has_the_version_that_a_rollout_brings(site: Site) -> None:
    """In every protocol under the channel's own name; a conversation keeps its version, and the answer says which it was."""
    old, new = version("echo-old"), version("echo-new")
    node = await site.add_node()
    node.models = [ModelState(each, "echo", "loaded", "llamacpp", context_length=2048) for each in (old, new)]
    await node.say()
    service = await site.gateway.start()
    entry = {"version": old, "size": 1, "modified_at": 1_700_000_000.0}
    for share, expected in ((0.0, {old}), (0.5, {old, new}), (1.0, {new})):
        trial = {"rollout": "r", "share": share, "name": f"moved@{new}"}
        fields = {
            f"{site.tenant}/moved:latest": msgspec.json.encode({**entry, "trial": trial}),
            f"{site.tenant}/moved@{new}": msgspec.json.encode({**entry, "version": new}),
        }
        directory.publish(site.client, "models", fields)
        await until(lambda: _share(service.directory.get(MODELS, f"{site.tenant}/moved:latest")) == share)  # noqa: B023
        seen = set()
        for number in range(12):
            first = [{"role": "user", "content": f"question {number}"}]
            later = [*first, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "and?"}]
            versions = set()
            for path, body in (
                ("/api/chat", {"messages": first, "stream": False}),
                ("/v1/chat/completions", {"messages": later}),
                ("/v1/messages", {"messages": later, "max_tokens": 5}),
            ):
                async with site.post(path, {"model": "moved", **body}) as response:
                    assert (response.status, (await response.json())["model"]) == (200, "moved")
                    versions.add(response.headers["x-ollamamax-version"])
            assert len(versions) == 1
            seen |= versions
        assert seen == expected


@pytest.mark.parametrize("name", OTHERS)
async def test_another_name_is_not_found(site: Site, name: str) -> None:
    async with site.post("/api/chat", {"model": name, "messages": []}) as response:
        assert response.status == 404


async def test_a_name_as_it_is_goes_before_its_spellings_and_new_ones_are_known_at_once(site: Site) -> None:
    for name in ("Twin", "twin"):
        await add_model(site, name)
        await add_node(site, name)
        for asked in ("TWIN", name):
            async with site.post(
                "/api/chat", {"model": asked, "messages": [{"role": "user", "content": "x"}]}
            ) as response:
                assert response.status == 200
                node = response.headers["x-ollamamax-node"]
        assert node == f"node-{len(site.nodes) - 1}"


async def test_a_stranger_finds_none_of_them(site: Site, stranger: str) -> None:
    for name in SPELLINGS:
        async with site.post("/api/show", {"model": name}, key=stranger) as response:
            assert response.status == 404


NAMES = st.from_regex(
    r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,8}/){0,3}[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}(:[a-z0-9]{1,5})?", fullmatch=True
)


@given(NAMES)
def test_a_canonical_name_is_its_own_and_shortening_changes_nothing_but_what_ollama_adds(name: str) -> None:
    assert canonical(canonical(name)) == canonical(name)
    assert canonical(shortest(name)) == canonical(name)
    assert canonical(name.upper()) == canonical(name)
    assert name.endswith(shortest(name))
