"""What a version adds to a request: defaults, which the request goes before."""

from __future__ import annotations

from typing import Any

from cluster.engines.ollama_wire import options as ollama_options
from cluster.engines.openai_wire import LLAMACPP, body
from cluster.engines.recipe import Recipe
from ollamamax import contract

USER: dict[str, Any] = {"role": "user", "content": "hi"}


def chat(**given: Any) -> contract.Inference:
    return contract.Inference("chat", messages=[USER], options=contract.Options(**given))


def test_parameters_are_defaults() -> None:
    recipe = Recipe(parameters={"temperature": 0.5, "num_predict": 7, "stop": ["x"], "num_ctx": 9000})
    applied = recipe.applied(chat(), 4096).options
    assert (applied.temperature, applied.max_tokens, applied.stop, applied.num_ctx) == (0.5, 7, ["x"], 4096)
    applied = recipe.applied(chat(temperature=0.0, max_tokens=-1, stop=["y"], num_ctx=1), 4096).options
    assert (applied.temperature, applied.max_tokens, applied.stop, applied.num_ctx) == (0.0, -1, ["y"], 1)


def test_as_many_tokens_as_the_model_makes_goes_before_a_versions_own_limit() -> None:
    assert "max_tokens" not in body("llamacpp", chat(max_tokens=-1), "m", LLAMACPP)
    assert ollama_options(contract.Options(max_tokens=-1)) == {"num_predict": -1}
    assert Recipe(parameters={"num_predict": -1}).applied(chat(), None).options.max_tokens is None


def test_system_and_messages_stand_before_the_conversation() -> None:
    before = ({"role": "user", "content": "1"}, {"role": "assistant", "content": "2"})
    recipe = Recipe(system="S", messages=before)
    assert [m["content"] for m in recipe.applied(chat(), None).messages] == ["S", "1", "2", "hi"]
    asked = contract.Inference("chat", messages=[{"role": "system", "content": "mine"}, USER])
    assert [m["content"] for m in Recipe(system="S").applied(asked, None).messages] == ["mine", "hi"]
    # Nothing is added where no template is applied.
    raw = contract.Inference("completion", prompt="p")
    assert Recipe(system="S").applied(raw, None) == raw


def test_what_only_the_server_knows_is_given_to_it() -> None:
    recipe = Recipe(parameters={"repeat_last_n": 5, "num_keep": 2, "num_gpu": 1, "mirostat": 1})
    assert recipe.server_fields() == {"repeat_last_n": 5, "n_keep": 2, "mirostat": 1}


def test_show_tells_them_in_ollamas_form() -> None:
    recipe = Recipe(system="S", template="T", parameters={"stop": ["a", "b"], "top_k": 2}, license=("L", "M"))
    shown = recipe.shown()
    assert shown["system"] == "S"
    assert shown["license"] == "L\nM"
    assert [line.split() for line in shown["parameters"].splitlines()] == [
        ["stop", '"a"'],
        ["stop", '"b"'],
        ["top_k", "2"],
    ]
    assert Recipe().shown() == {}
