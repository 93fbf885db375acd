"""A model made with Ollama's own client behaves as it was made, on the real llama.cpp of a real node."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import threading
from collections.abc import Iterator

import ollama
import pytest
from django.conf import settings
from pytest_django import Settings

from models_registry.actions.collect import collect_garbage
from models_registry.models import Version
from ollamamax.env import Environment
from ollamamax.identity.scope import every_tenant
from tests import smollm
from tests.cast import Key
from tests.fakes.registry import Registry
from tests.management.conftest import Controller, Served
from tests.patience import LONG, wait_for
from tests.worker.node import Node

pytestmark = pytest.mark.django_db(transaction=True)
SAY = [{"role": "user", "content": "What is your name?"}]


def serves(client: ollama.Client, model: str) -> bool:
    """Loads it, as soon as a node has it."""
    try:
        client.generate(model)
    except ollama.ResponseError as error:
        if error.status_code not in {404, 503}:
            raise
        return False
    return True


def versions() -> int:
    with every_tenant():
        return int(Version.objects.count())


@contextlib.contextmanager
def served_meanwhile(client: ollama.Client, model: str) -> Iterator[list[int | str]]:
    """Asks a model again and again: the tokens of each answer, or the error."""
    answers: list[int | str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answers.append(client.chat(model, SAY).eval_count or 0)
            except ollama.ResponseError as error:
                answers.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join(60)


def test_a_model_from_blob_to_removal(
    client: ollama.Client, controller: Controller, node: Node, served: Served, owner_key: Key
) -> None:
    digest = client.create_blob(smollm.path())
    assert digest == f"sha256:{hashlib.sha256(smollm.path().read_bytes()).hexdigest()}"
    steps = [each.status for each in client.create("base", files={"smollm.gguf": digest}, stream=True)]
    assert steps[0] == "reading model metadata"
    assert steps[-3:] == ["writing manifest", "copying to a node", "success"]
    # Success means that it can be used.
    assert serves(client, "base")
    answer = client.create(
        "captain",
        from_="base",
        system="You are Captain Ahab.",
        parameters={"num_predict": 7, "temperature": 0, "seed": 1, "stop": ["\n\n"]},
        license="MIT",
    )
    assert answer.status == "success"
    assert serves(client, "captain")
    # What its engine cannot load is no success, and the name stands for what it stood for, all the time.
    held = versions()
    with served_meanwhile(client, "captain") as answers, pytest.raises(ollama.ResponseError, match="cannot load"):
        client.create("captain", from_="base", template="{% for m in messages %}{{ m.content }")
    assert answers
    assert set(answers) == {7}, "the old version's limit of tokens, and no error"
    assert versions() == held, "what was made in vain is gone"
    with pytest.raises(ollama.ResponseError, match="cannot load"):
        client.create("broken", from_="base", template="{% for m in messages %}{{ m.content }")
    assert not any(model.model == "broken:latest" for model in client.list().models)

    # The limit, the temperature and the system prompt are the version's, unless the request has its own.
    first = client.chat("captain", SAY)
    assert (first.eval_count, first.done_reason) == (7, "length")
    assert client.chat("captain", SAY).message.content == first.message.content
    assert (client.chat("captain", SAY, options={"num_predict": 3}).eval_count) == 3
    assert (client.chat("captain", SAY, options={"num_predict": 12}).eval_count or 0) > 7
    told = client.chat("captain", [{"role": "system", "content": "You are Captain Ahab."}, *SAY])
    assert told.prompt_eval_count == first.prompt_eval_count
    assert told.message.content == first.message.content
    wait_for(lambda: serves(client, "base"), LONG)
    assert client.chat("base", SAY, options={"num_predict": 7}).prompt_eval_count != first.prompt_eval_count

    shown = client.show("captain")
    assert shown.parameters is not None
    assert shown.parameters.splitlines()[0].split() == ["num_predict", "7"]
    assert shown.license == "MIT"
    # The client leaves this field out.
    told_whole = served.http(owner_key).post("/api/show", json={"model": "captain"}).json()
    assert told_whole["system"] == "You are Captain Ahab."

    # Copied, the name answers the same; deleted, it is gone, and what nobody needs leaves the node and the store.
    client.copy("captain", "ahab:1")
    assert wait_for(lambda: serves(client, "ahab:1"))
    assert client.chat("ahab:1", SAY).message.content == first.message.content
    for name in ("captain", "base"):
        assert client.delete(name).status == "success"
    assert {model.model for model in client.list().models} == {"ahab:1"}
    assert client.chat("ahab:1", SAY).message.content == first.message.content
    # A request that runs ends first.
    telling = client.chat("ahab:1", SAY, stream=True, options={"num_predict": 60, "stop": ["nowhere to be found"]})
    next(telling)
    client.delete("ahab:1")
    assert list(telling)[-1].done_reason in {"stop", "length"}
    wait_for(lambda: not (node.state() and node.state().models), LONG, "the node empty")  # type: ignore[union-attr]
    wait_for(lambda: not list((node.home / "blobs").iterdir()), what="the node's disk empty")
    collect_garbage(datetime.timedelta(0))
    assert not [file for file in (settings.HOME / "blobs").rglob("*") if file.is_file()]


def test_templates_stop_words_and_starting_messages_are_applied(
    client: ollama.Client, controller: Controller, node: Node
) -> None:
    digest = client.create_blob(smollm.path())
    template = (
        "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\nAhoy"
    )
    greedy = {"temperature": 0, "num_predict": 12}
    client.create("plain", files={"m.gguf": digest}, parameters=greedy)
    client.create("ahoy", from_="plain", template=template)
    jinja = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\nAhoy"
    client.create("jinja", from_="plain", template=jinja)
    client.create("primed", from_="plain", messages=[SAY[0], {"role": "assistant", "content": "I am Bob the builder."}])
    client.create("short", from_="plain", parameters={"stop": ["the"]})
    for name in ("plain", "ahoy", "jinja", "primed", "short"):
        wait_for(lambda name=name: serves(client, name), LONG, name)  # type: ignore[misc]
    plain, ahoy = client.chat("plain", SAY), client.chat("ahoy", SAY)
    # What the raw prompt of that template gives is what the chat gives.
    raw = f"<|im_start|>user\n{SAY[0]['content']}<|im_end|>\n<|im_start|>assistant\nAhoy"
    assert ahoy.message.content == client.generate("plain", raw, raw=True).response
    assert ahoy.message.content != plain.message.content
    assert client.chat("jinja", SAY).message.content == ahoy.message.content
    assert client.show("ahoy").template == template
    primed = client.chat("primed", SAY)
    assert (primed.prompt_eval_count or 0) > (plain.prompt_eval_count or 0)
    say_the = [{"role": "user", "content": "Say: the cat sat on the mat"}]
    assert "the" in (client.chat("plain", say_the).message.content or "")
    assert "the" not in (client.chat("short", say_the).message.content or "")


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    made = Registry()
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_PULL_REGISTRIES": [made.host]})
    yield made
    made.stop()


@pytest.fixture
def client(registry: Registry, client: ollama.Client) -> ollama.Client:
    """The web process is started when the registry is known."""
    return client


@pytest.fixture
def served(registry: Registry, served: Served) -> Served:
    return served


def test_what_is_pulled_and_cannot_be_loaded_is_no_success(
    registry: Registry, client: ollama.Client, controller: Controller, node: Node
) -> None:
    """A template of llama.cpp's own kind is for the engine to judge, before the name stands for the model."""
    weights = registry.add(smollm.path().read_bytes(), "model")
    registry.publish("team/bad:1", weights, registry.add(b"{% for m in messages %}{{ m.content }", "template"))
    with pytest.raises(ollama.ResponseError, match="cannot load"):
        client.pull(f"{registry.host}/team/bad:1", insecure=True)
    assert not client.list().models
    assert versions() == 0
