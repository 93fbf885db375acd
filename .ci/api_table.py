"""Writes the tables of docs/api.md from the code: ``python .ci/api_table.py`` (with ``--check`` it only compares)."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from cluster.engines import ollama_wire, openai_wire  # noqa: E402
from cluster.engines.openai import OpenAI  # noqa: E402
from models_registry.protocol import routes as management  # noqa: E402
from ollamamax import contract  # noqa: E402
from ollamamax.batches.protocol import batches  # noqa: E402
from ollamamax.batches.protocol.files import Files  # noqa: E402
from ollamamax.batches.protocol.routes import Routes  # noqa: E402
from ollamamax.blobs.disk import in_folder  # noqa: E402
from ollamamax.contract.fields import Fields  # noqa: E402
from ollamamax.gateway.anthropic import requests as anthropic  # noqa: E402
from ollamamax.gateway.ollama import embed, show  # noqa: E402
from ollamamax.gateway.ollama import requests as ollama  # noqa: E402
from ollamamax.gateway.openai import completions, embeddings, rerank, response_request  # noqa: E402
from ollamamax.gateway.openai import requests as openai  # noqa: E402
from ollamamax.gateway.routes import ROUTES  # noqa: E402
from ollamamax.kernel.errors import InvalidRequest  # noqa: E402
from ollamamax.responses.protocol import routes as kept_responses  # noqa: E402

DOCUMENT = ROOT / "docs" / "api.md"
BEGIN, END = "<!-- written by .ci/api_table.py -->\n", "<!-- end -->\n"


TABLES: dict[str, Fields[Any]] = {
    "/v1/chat/completions": openai.FIELDS,
    "/v1/completions": completions.FIELDS,
    "/v1/embeddings": embeddings.FIELDS,
    "/v1/rerank": rerank.FIELDS,
    "/v1/responses": response_request.FIELDS,
    "/v1/messages": anthropic.FIELDS,
    "/v1/messages/count_tokens": anthropic.COUNT_FIELDS,
    "/v1/batches": batches.FIELDS,
    "/api/chat": ollama.CHAT,
    "/api/generate": ollama.GENERATE,
    "/api/embed": embed.EMBED,
    "/api/embeddings": embed.EMBEDDINGS,
    "/api/show": show.FIELDS,
    **{path: route.fields for path, route in management.ROUTES.items() if route.fields is not None},
}
"""The tables that the code obeys, by their routes."""


def rows(path: str) -> list[tuple[str, str]]:
    """Each field of a route, and what becomes of it."""
    return list(TABLES[path].rows())


def field_table() -> str:
    found = [(path, name, status) for path in TABLES for name, status in rows(path)]
    counts = Counter(status.replace(":", " ").replace(",", " ").split()[0] for _, _, status in found)
    total = ", ".join(f"{counts[each]} {each}" for each in ("supported", "translated", "ignored", "refused"))
    lines = [f"Of {len(found)} fields: {total}.", "", "| API | field | status |", "|---|---|---|"]
    lines += [f"| `{path}` | `{name}` | {status} |" for path, name, status in found]
    return "\n".join(lines) + "\n"


def route_table() -> str:
    rows = ["| route | method | needs |", "|---|---|---|"]
    known = [(path, route.method, route.permission) for path, route in ROUTES.items()]
    known += [(path, ", ".join(route.methods), route.permission) for path, route in management.ROUTES.items()]
    files = Files(in_folder(ROOT), most_bytes=0, most_of_tenant=0)
    known += [
        (path, route.method, route.permission)
        for path, methods in (Routes(files).table | kept_responses.TABLE).items()
        for route in methods.values()
    ]
    rows += [f"| `{path}` | {methods} | `{permission}` |" for path, methods, permission in sorted(known)]
    return "\n".join(rows) + "\n"


CHAT: list[dict[str, Any]] = [{"role": "user", "content": "x"}]
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "f"}}]
IF_MODEL = "if the model can"


def _image(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def _chat(**given: Any) -> contract.Inference:
    return contract.Inference("chat", **{"messages": CHAT, **given})


def _option(**given: Any) -> contract.Inference:
    return _chat(options=contract.Options(**given))


FEATURES: dict[str, tuple[contract.Inference, bool]] = {
    "temperature, top_p, seed, stop, penalties, a limit of tokens": (_option(temperature=1, top_p=1, seed=1), False),
    "top_k": (_option(top_k=1), False),
    "min_p": (_option(min_p=0.1), False),
    "repeat_penalty": (_option(repeat_penalty=1.1), False),
    "num_ctx": (_option(num_ctx=4096), False),
    "keep_alive 0": (_chat(keep_alive=0), False),
    "tools": (_chat(tools=TOOLS), True),
    "tool_choice: a tool must be called": (_chat(tools=TOOLS, tool_choice="required"), True),
    "parallel_tool_calls false": (_chat(tools=TOOLS, parallel_tool_calls=False), True),
    "an image in the request": (_chat(messages=_image("data:image/png;base64,QUJD")), True),
    "JSON": (_chat(format="json"), False),
    "a JSON schema": (_chat(format={"type": "object"}), False),
    "thinking on or off": (_chat(think=True), True),
    "a level of thinking": (_chat(think="low"), True),
    "log probabilities of a chat": (_chat(logprobs=True), False),
    "log probabilities of a completion": (contract.Inference("completion", prompt="x", logprobs=True), False),
    "suffix": (contract.Inference("completion", prompt="x", suffix="y"), True),
}


def _llamacpp(inference: contract.Inference) -> None:
    openai_wire.body("llamacpp", inference, "m", openai_wire.LLAMACPP)


def _ollama(inference: contract.Inference) -> None:
    (ollama_wire.chat if inference.kind == "chat" else ollama_wire.generate)(inference, "m")


def _openai(dialect: openai_wire.Dialect) -> Callable[[contract.Inference], None]:
    def ask(inference: contract.Inference) -> None:
        OpenAI("http://127.0.0.1")._check(inference)
        openai_wire.body("openai", inference, "m", dialect)

    return ask


ENGINES = {
    "llamacpp": _llamacpp,
    "ollama": _ollama,
    "openai: vLLM, SGLang": _openai(openai_wire.VLLM),
    "openai: others": _openai(openai_wire.PLAIN),
}
# What is not decided by the body alone; the engines' tests show it.
BY_HAND = {
    "embeddings": ("yes", IF_MODEL, IF_MODEL, IF_MODEL),
    "dimensions of embeddings": ("refused", "yes", IF_MODEL, IF_MODEL),
    "truncate of embeddings, true": (
        "yes",
        "yes",
        "vLLM: yes; SGLang: what is too long is refused",
        "what is too long is refused",
    ),
    "rerank": (IF_MODEL, "refused", IF_MODEL, "if the server can"),
    "count_tokens": ("yes", "an estimate", "vLLM: yes; SGLang: an estimate", "an estimate"),
    "show": ("yes", "yes", "context only", "context only"),
    "loading and unloading": ("yes", "yes", "refused to unload", "refused to unload"),
}


def engine_table() -> str:
    names = list(ENGINES)
    rows = [f"| feature | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for feature, (inference, by_model) in FEATURES.items():
        rows.append(f"| {feature} | {' | '.join(_verdict(ask, inference, by_model) for ask in ENGINES.values())} |")
    rows += [f"| {feature} | {' | '.join(verdicts)} |" for feature, verdicts in BY_HAND.items()]
    return "\n".join(rows) + "\n"


def _verdict(ask: Callable[[contract.Inference], None], inference: contract.Inference, by_model: bool) -> str:
    try:
        ask(inference)
    except InvalidRequest:
        return "refused"
    return IF_MODEL if by_model else "yes"


def written(text: str) -> str:
    """The document with its tables as the code is now."""
    parts = text.split(BEGIN)
    tables = [route_table(), engine_table(), field_table()]
    if len(parts) != len(tables) + 1:
        raise SystemExit(f"{DOCUMENT.name} must have {len(tables)} marks: {BEGIN}")
    for index, table in enumerate(tables, 1):
        _, _, rest = parts[index].partition(END)
        parts[index] = f"\n{table}\n{END}{rest}"
    return BEGIN.join(parts)


def main() -> int:
    text = DOCUMENT.read_text()
    new = written(text)
    if "--check" in sys.argv:
        return int(new != text)
    DOCUMENT.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
