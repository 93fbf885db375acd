"""What a model can do follows the template that is applied to its chats."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.engines.gguf_metadata import capabilities, shown

FILE: dict[str, Any] = {"general.architecture": "llama", "tokenizer.chat_template": "{{ messages }}"}
TOOLS = "{% if tools %}{{ tools }}{% endif %}{{ messages }}"


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{{ messages }}", ["completion"]),
        (TOOLS, ["completion", "tools"]),
        ("{% if enable_thinking %}<think>{% endif %}", ["completion", "thinking"]),
        (TOOLS + "<think></think>", ["completion", "tools", "thinking"]),
    ],
)
def test_tools_and_thinking_are_what_the_template_has_a_place_for(template: str, found: list[str]) -> None:
    assert capabilities(FILE, template) == found
    assert shown(FILE | {"tokenizer.chat_template": template}, verbose=False)["capabilities"] == found


def test_a_template_given_to_create_goes_before_the_files_own() -> None:
    assert shown(FILE, verbose=False, template=TOOLS)["capabilities"] == ["completion", "tools"]
    own = FILE | {"tokenizer.chat_template": TOOLS}
    assert shown(own, verbose=False, template="{{ messages }}")["capabilities"] == ["completion"]
    assert shown(own, verbose=False)["template"] == TOOLS


@pytest.mark.parametrize(("pooling", "found"), [(1, ["embedding"]), (4, ["rerank"])])
def test_a_model_made_to_embed_or_to_rank_does_nothing_else(pooling: int, found: list[str]) -> None:
    assert capabilities(FILE | {"llama.pooling_type": pooling}, TOOLS) == found
