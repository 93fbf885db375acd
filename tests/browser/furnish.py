"""An installation with something on every page: what people and programs make over the API, simulated hosts, and requests that ended on them."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from benchmarks.lively_fleet import MODELS, LivelyFleet, kind_of, names
from benchmarks.product import ask
from ollamamax.bus import keys
from ollamamax.contract import AttemptRecord, ModelState, Route, ScoredNode, UsageRecord, encode_json
from ollamamax.kernel.ids import new_id
from tests.browser.product import NODE, ROOT, Product, until
from tests.sso.saml_provider import metadata

ENGINE_FAULT = 41
"""The place of the simulated host whose engine does not run."""
STEPS = [{"share": share, "seconds": 600, "requests": 200} for share in (0.05, 0.25, 1.0)]


@dataclass
class Furnished:
    """``addresses``: of pages of single things, by a name for each."""

    fleet: LivelyFleet
    addresses: dict[str, str]


@dataclass
class _Api:
    product: Product
    team: str = ""

    def __call__(self, path: str, method: str | None = None, **body: Any) -> dict[str, object]:
        key = self.product.facts["api_key"]
        return ask(f"{self.product.url}/api/v1/{path}", key, body or None, method=method, seconds=60)

    def made(self, path: str, **body: Any) -> str:
        return str(self(path, **body)["id"])


@contextlib.contextmanager
def furnished(product: Product, *, hosts: int, ended: int) -> Iterator[Furnished]:
    """With so many simulated hosts, which report until the end, and so many ended requests."""
    api = _Api(product)
    fleet = LivelyFleet(product.url, product.facts["api_key"], product.servers[1].url)
    fleet.join(names(hosts), [kind_of(number) for number in range(hosts)])
    versions = _publish(product)
    fleet.more = [
        ModelState(digest, name, "ready", "llamacpp", size=4 << 30)
        for name, both in versions.items()
        for digest in both
    ]
    fleet.start()
    try:
        addresses = _access(api) | _sign_in(api)
        _money(api)
        _webhooks_and_keys(api)
        addresses |= _rollouts(api, product, versions)
        _requests(product, fleet, ended, versions)
        addresses["simulated-node"] = f"/nodes/{uuid.UUID(fleet.nodes[7 % hosts])}"
        if hosts > ENGINE_FAULT:
            addresses["node-without-engine"] = f"/nodes/{uuid.UUID(fleet.nodes[ENGINE_FAULT])}"
            until(lambda: bool(product.get("/api/v1/incidents?limit=1")["results"]), product)
            addresses["incident"] = "/incidents/" + str(product.get("/api/v1/incidents?limit=1")["results"][0]["id"])
        yield Furnished(fleet, addresses)
    finally:
        fleet.close()


def _publish(product: Product) -> dict[str, list[str]]:
    run = [sys.executable, "-m", "tests.browser.publish_models"]
    done = subprocess.run(run, cwd=ROOT, env=product.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def _access(api: _Api) -> dict[str, str]:
    role = str(
        api("roles", name="Model keeper", slug="model-keeper", permissions=["model.view", "model.manage"])["slug"]
    )
    team = api.made("teams", name="Research", slug="research", role=role)
    api.team = team
    robot = api.made(
        "service-accounts", name="nightly-reports", description="Sums up the day for the board.", role="member"
    )
    api(f"service-accounts/{robot}", method="PATCH", team="research")
    for name in ("grace", "linus", "barbara"):
        api("invitations", email=f"{name}@example.com", role="member", days=7, send=False)
    members = api("members")["results"]
    assert isinstance(members, list)
    api(
        "applications",
        name="Open WebUI",
        redirect_uris=["https://chat.example.com/oauth/oidc/callback"],
        for_everybody=True,
    )
    api(
        "applications",
        name="Grafana",
        redirect_uris=["https://grafana.example.com/login/generic_oauth"],
        roles=["admin", "owner"],
        teams=["research"],
    )
    api(
        "workloads",
        name="deploy pipeline",
        issuer="https://token.actions.githubusercontent.com",
        audience="ollamamax",
        rules=[
            {"claim": "repository", "pattern": "example/assistant"},
            {"claim": "ref", "pattern": "refs/heads/release-*"},
        ],
        service_account=robot,
    )
    api("keys", name="nightly", service_account=robot)
    return {
        "team": f"/teams/{team}",
        "service-account": f"/service-accounts/{robot}",
        "member-access": f"/access/members/{members[0]['id']}",
    }


def _money(api: _Api) -> None:
    for model, prompt, completion in (
        ("", "0.10", "0.40"),
        ("llama3.3:70b", "0.60", "0.90"),
        ("assistant:latest", "0.20", "0.60"),
    ):
        api(
            "prices", model=model, prompt_million=prompt, completion_million=completion, second="0.0004", currency="EUR"
        )
    key = api.made("keys", name="research notebooks")
    for whose, subject, unit, period, most, hard in (
        ("tenant", None, "money", "month", "2500", False),
        ("tenant", None, "tokens", "day", "40000000", True),
        ("team", api.team, "gpu_seconds", "week", "86400", False),
        ("key", key, "money", "day", "0.05", True),
    ):
        api("budgets", whose=whose, subject=subject, unit=unit, period=period, most=most, hard=hard, warn_percent=80)


def _sign_in(api: _Api) -> dict[str, str]:
    provider = api.made(
        "sso/providers",
        name="Company directory",
        issuer="https://login.example.com",
        client_id="ollamamax",
        client_secret="not one that works",
        default_role="member",
        rules=[{"claim": "groups", "pattern": "ml-platform", "role": "admin"}],
    )
    token = api(f"sso/providers/{provider}/directory/tokens", name="Directory of the company", expires_in_days=180)
    secret = str(token["token"])
    directory = f"{api.product.url}/scim/v2"
    people = []
    for name in ("Ada Lovelace", "Grace Hopper", "Edsger Dijkstra"):
        given, family = name.split()
        user = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": f"{given}.{family}@example.org".lower(),
            "name": {"givenName": given, "familyName": family},
            "emails": [{"value": f"{given}.{family}@example.org".lower(), "primary": True}],
            "active": True,
        }
        people.append(ask(f"{directory}/Users", secret, user)["id"])
    group = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "ml-platform",
        "members": [{"value": each} for each in people],
    }
    ask(f"{directory}/Groups", secret, group)
    address = f"/single-sign-on/{provider}"
    office = api.made("sso/providers", name="Office", kind="saml", saml={"metadata": metadata()})
    return {
        "provider-saml": f"/single-sign-on/{office}",
        "provider": address,
        "provider-roles": f"{address}?tab=roles",
        "provider-directory": f"{address}?tab=directory",
        "provider-test": f"{address}?tab=test",
    }


def _webhooks_and_keys(api: _Api) -> None:
    api("mirrors", prefix="hub", upstream="registry.ollama.ai/library")
    api("webhooks", url="https://hooks.invalid/fleet", events=["node.*", "key.*"])
    for name in ("billing service", "support assistant", "reports of the night"):
        api("keys", name=name, limits={"requests_per_minute": 600, "tokens_per_minute": 200_000})
    api("tenants", name="Blue Lake", slug="blue-lake")


def _rollouts(api: _Api, product: Product, versions: dict[str, list[str]]) -> dict[str, str]:
    """One runs, one is paused, one was taken back, and one ended well."""
    found = product.get("/api/v1/models?limit=100")["results"]
    channels = {row["name"].partition(":")[0]: row["id"] for row in found if row["name"].endswith(":latest")}
    begun: dict[str, str] = {}
    for name, reason in (
        ("assistant", "Shorter answers to questions about bills"),
        ("summariser", "A longer context"),
        ("translator", "Half the bits for each weight"),
        ("classifier", "Trained on the last year"),
    ):
        old, new = versions[name]
        del old
        begun[name] = api.made(f"models/{channels[name]}/rollouts", version=new, reason=reason, steps=STEPS)

    def running(name: str) -> bool:
        return bool(product.get(f"/api/v1/rollouts/{begun[name]}")["state"] == "running")

    until(lambda: all(running(name) for name in begun), product)
    api(f"rollouts/{begun['summariser']}/pause", reason="Waits for the evaluation of Thursday")
    api(f"rollouts/{begun['translator']}/roll-back", reason="Names are translated too")
    for _ in STEPS:
        with contextlib.suppress(OSError):  # one that ended
            api(f"rollouts/{begun['classifier']}/advance", reason="The evaluation says so")
    return {f"rollout-{name}": f"/models/{channels[name]}" for name in begun}


def _requests(product: Product, fleet: LivelyFleet, ended: int, versions: dict[str, list[str]]) -> None:
    own = product.get("/api/v1/keys?limit=10")["results"]
    tenant = product.get("/api/v1/tenant")["id"].replace("-", "")
    rng = random.Random(16)
    with redis.Redis.from_url(product.servers[1].url) as bus:
        for number in range(ended):
            key = rng.choice(own)["id"].replace("-", "")
            bus.xadd(keys.USAGE, {"r": encode_json(_record(rng, tenant, key, fleet, number, versions))})


def _record(
    rng: random.Random, tenant: str, key: str, fleet: LivelyFleet, number: int, versions: dict[str, list[str]]
) -> UsageRecord:
    hosts = len(fleet.nodes)
    place = rng.randrange(hosts)
    other = (place + 1) % hosts
    node, name, beside = fleet.nodes[place], names(hosts)[place], names(hosts)[other]
    rolled = number % 3 == 0
    model, version = rng.choice(MODELS[:3])[0], "sha256:" + "a" * 64
    if rolled:
        stem: Sequence[str] = ("assistant", "summariser")
        chosen = rng.choice(stem)
        model, version = f"{chosen}:latest", versions[chosen][1 if rng.random() < 0.3 else 0]
    at = time.time() - (1 if rolled else 30 * number)
    first = rng.lognormvariate(5.2, 0.5)
    tokens = rng.randrange(20, 900)
    failed = rng.random() < 0.02
    parts = {"loaded": 1.0, "wait_ms": 0.0, "first_token_ms": round(first)}
    return UsageRecord(
        request=new_id(), tenant=tenant, key=key, model=model, version=version, node=node, node_name=name,
        api="/v1/chat/completions", trace=new_id(), received_at=at, prompt_tokens=rng.randrange(30, 4000),
        completion_tokens=0 if failed else tokens, queue_ms=rng.random() * 4, first_token_ms=None if failed else first,
        duration_ms=first + 24 * tokens, outcome="failed" if failed else "ok", error="engine_failed" if failed else "",
        status=502 if failed else 200,
        route=Route(
            strategy="balanced",
            candidates=[
                ScoredNode(node, name, "idle", 0.61, parts),
                ScoredNode(fleet.nodes[other], beside, "last", 0.48, parts),
            ],
            ruled_out={NODE: "model_absent"},
            attempts=[AttemptRecord(node, name, "idle", at + 0.002, at + 0.004)],
        ),
    )  # fmt: skip
