"""Fields that other servers and routers have beside OpenAI's: vLLM, SGLang, llama.cpp, Ollama and OpenRouter.

Their users' programs send them as they are. What an engine of ours can do is put into our own field for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ollamamax.contract.fields import Loose, RefusedField, Translated, renamed, unsupported
from ollamamax.kernel import errors

_OPTIONS = {
    "num_predict": "max_tokens",
    **{name: name for name in ("temperature", "top_p", "top_k", "min_p", "seed", "stop", "typical_p", "repeat_last_n")},
    **{name: name for name in ("presence_penalty", "frequency_penalty", "repeat_penalty", "num_ctx")},
}


def _limit(body: Loose, value: Any) -> None:
    """-1 is as many as the model makes, which is what none asks for."""
    if value != -1 and body.get("max_tokens") is None:
        body["max_tokens"] = value


def _options(body: Loose, value: Any) -> Iterable[str]:
    """Ollama's ``options``."""
    if not isinstance(value, dict):
        raise errors.InvalidRequest("'options' must be an object.", param="options")
    for name, given in value.items():
        if name == "num_predict":
            if isinstance(given, int) and given > 0:
                _limit(body, given)
        elif name in _OPTIONS:
            renamed(_OPTIONS[name]).apply(body, given)
        elif given is not None:
            yield name


def _switch(body: Loose, name: str, value: Any) -> None:
    kwargs = body.get("chat_template_kwargs")
    body["chat_template_kwargs"] = {name: value, **(kwargs if isinstance(kwargs, dict) else {})}


def _enable_thinking(body: Loose, value: Any) -> None:
    _switch(body, "enable_thinking", bool(value))


def _think(body: Loose, value: Any) -> None:
    """Ollama's ``think``: on, off, or a level."""
    if isinstance(value, str):
        renamed("reasoning_effort").apply(body, value)
    else:
        _enable_thinking(body, value)


def _thinking(body: Loose, value: Any) -> None:
    """``{"type": "enabled" | "disabled"}``, as Z.ai and DeepSeek have it."""
    kind = value.get("type") if isinstance(value, dict) else value
    if kind not in ("enabled", "disabled", "adaptive", "auto"):
        raise errors.InvalidRequest("'thinking' must be of type enabled or disabled.", param="thinking")
    if kind in ("enabled", "disabled"):
        _enable_thinking(body, kind == "enabled")


def _reasoning(body: Loose, value: Any) -> Iterable[str]:
    """OpenRouter's ``reasoning``."""
    if not isinstance(value, dict):
        raise errors.InvalidRequest("'reasoning' must be an object.", param="reasoning")
    if value.get("enabled") is False:
        renamed("reasoning_effort").apply(body, "none")
    elif value.get("effort") is not None:
        renamed("reasoning_effort").apply(body, value["effort"])
    elif value.get("enabled") is True:
        _enable_thinking(body, True)
    return [name for name in value if name not in {"effort", "enabled"} and value[name] is not None]


def _schema(body: Loose, value: Any) -> None:
    """A schema, or the text of one."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise errors.InvalidRequest("The JSON schema is none.", param="response_format")
    given = {"type": "json_schema", "json_schema": {"name": "response", "schema": value}}
    renamed("response_format").apply(body, given)


def _format(body: Loose, value: Any) -> None:
    """Ollama's ``format``."""
    if value == "json":
        renamed("response_format").apply(body, {"type": "json_object"})
    elif value != "":
        _schema(body, value)


def _structured(body: Loose, value: Any) -> None:
    """vLLM's ``structured_outputs``."""
    given = (
        {name: each for name, each in value.items() if each is not None} if isinstance(value, dict) else {"?": value}
    )
    if set(given) == {"json"}:
        _schema(body, given["json"])
    elif given == {"json_object": True}:
        renamed("response_format").apply(body, {"type": "json_object"})
    elif given:
        raise unsupported("structured_outputs", "but as a JSON schema")


SAMPLING: dict[str, Translated] = {
    "repetition_penalty": renamed("repeat_penalty"),
    "n_predict": Translated("`max_tokens`", _limit),
    "typical": renamed("typical_p"),
    "options": Translated("the fields of the same names", _options),
    "guided_json": Translated("`response_format`", _schema),
    "json_schema": Translated("`response_format`", _schema),
    "structured_outputs": Translated("`response_format`", _structured),
    "format": Translated("`response_format`", _format),
}
"""For everything that makes text."""
CHAT: dict[str, Translated] = {
    **SAMPLING,
    "reasoning": Translated("`reasoning_effort`", _reasoning),
    "think": Translated("`reasoning_effort`", _think),
    "enable_thinking": Translated("`chat_template_kwargs`", _enable_thinking),
    "thinking": Translated("`chat_template_kwargs`", _thinking),
    "messages.reasoning": renamed("reasoning_content"),
    "messages.thinking": renamed("reasoning_content"),
}

_SEARCH = "no engine has it in common with another"
_TEXT = "the engines' texts come as they make them"
REFUSED: dict[str, RefusedField] = {
    "best_of": RefusedField("every answer is shown", (0, 1)),
    "use_beam_search": RefusedField(_SEARCH, (False,)),
    "length_penalty": RefusedField(_SEARCH, (0, 1)),
    "early_stopping": RefusedField(_SEARCH, (False,)),
    "include_stop_str_in_output": RefusedField(_TEXT, (False,)),
    "skip_special_tokens": RefusedField(_TEXT, (True,)),
    "spaces_between_special_tokens": RefusedField(_TEXT, (True,)),
    "no_stop_trim": RefusedField(_TEXT, (False,)),
    "prompt_logprobs": RefusedField("the engines give none for a prompt", (0, False)),
    "truncate_prompt_tokens": RefusedField("a prompt is taken whole or refused"),
    "allowed_token_ids": RefusedField(_SEARCH, ([],)),
    "bad_words": RefusedField(_SEARCH, ([],)),
    "logits_processors": RefusedField("programs in a request are run nowhere here", ([],)),
    "custom_logit_processor": RefusedField("programs in a request are run nowhere here"),
    "guided_regex": RefusedField("of grammars only JSON schemas are common to the engines", ("",)),
    "guided_choice": RefusedField("of grammars only JSON schemas are common to the engines; give an `enum`", ([],)),
    "guided_grammar": RefusedField("of grammars only JSON schemas are common to the engines", ("",)),
    "grammar": RefusedField("of grammars only JSON schemas are common to the engines", ("",)),
    "regex": RefusedField("of grammars only JSON schemas are common to the engines", ("",)),
    "ebnf": RefusedField("of grammars only JSON schemas are common to the engines", ("",)),
    "return_tokens_as_token_ids": RefusedField("tokens are told as text", (False,)),
    "return_token_ids": RefusedField("tokens are told as text", (False,)),
    "n_probs": RefusedField("ask for `logprobs`", (0,)),
    "samplers": RefusedField("the engines order them by themselves", ([],)),
    "dry_multiplier": RefusedField(_SEARCH, (0,)),
    "xtc_probability": RefusedField(_SEARCH, (0,)),
    "dynatemp_range": RefusedField(_SEARCH, (0,)),
    "top_n_sigma": RefusedField(_SEARCH, (-1,)),
    "tfs_z": RefusedField(_SEARCH, (1,)),
    "top_a": RefusedField(_SEARCH, (0,)),
    "lora": RefusedField("adapters belong to a version of a model", ([],)),
    "lora_path": RefusedField("adapters belong to a version of a model"),
    "mm_processor_kwargs": RefusedField(_SEARCH, ({},)),
    "vllm_xargs": RefusedField(_SEARCH, ({},)),
    "plugins": RefusedField("this server adds nothing to a prompt", ([],)),
    "transforms": RefusedField("this server takes nothing out of a prompt", ([],)),
}
CHAT_REFUSED: dict[str, RefusedField] = {
    **REFUSED,
    "chat_template": RefusedField("the template belongs to a version of a model"),
    "documents": RefusedField("give them in a message", ([],)),
    "echo": RefusedField("what was asked is not repeated", (False,)),
    "add_generation_prompt": RefusedField("end with a message of the assistant to have it gone on with", (True,)),
    "add_special_tokens": RefusedField("the template adds them", (False,)),
}

_PLACE = "where a request runs is the fleet's affair"
_KEEPS = "the engines keep their prompts by themselves"
IGNORED = {
    "cache_prompt": _KEEPS,
    "cache_salt": _KEEPS,
    "n_keep": "a prompt that does not fit is refused, never cut",
    "id_slot": _PLACE,
    "slot_id": _PLACE,
    "priority": _PLACE + "; the header x-ollamamax-priority asks for a class",
    "provider": _PLACE,
    "models": "a model's fallbacks are set on the server",
    "route": _PLACE,
    "request_id": "x-request-id names the request",
    "rid": "x-request-id names the request",
    "usage": "the answer says what it used",
    "include_reasoning": "thoughts come in their own field",
    "separate_reasoning": "thoughts come in their own field",
    "stream_reasoning": "thoughts come in their own field",
    "reasoning_format": "thoughts come in their own field",
    "parse_tool_calls": "calls come in their own field",
    "guided_decoding_backend": "the engine chooses",
    "timings_per_token": "headers and usage tell the times",
    "return_progress": "a sign of life is sent at least each 10 s",
    "drop_params": "it is for the client's own library",
    "extra_body": "it is for the client's own library, which sends what is in it",
}
