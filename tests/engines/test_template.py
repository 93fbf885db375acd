"""Go templates, as Ollama's models have them, rendered to the text that the model reads."""

from __future__ import annotations

import contextlib
import datetime
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.engines.template import Template, is_jinja, template_of
from cluster.engines.template_syntax import TemplateProblem

TODAY = datetime.date(2026, 11, 1)
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "U"},
    {"role": "assistant", "content": "A"},
    {"role": "user", "content": [{"type": "text", "text": "U2"}]},
]
CHATML = """{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
<|{{ .Role }}|>{{ .Content }}
{{- if and (ne .Role "assistant") $last }}<|assistant|>{{ end }}
{{- end }}"""
TURNS = (
    "{{ if .System }}<s>{{ .System }}</s>{{ end }}{{ if .Prompt }}<u>{{ .Prompt }}</u>{{ end }}<a>{{ .Response }}</a>"
)


def rendered(text: str, messages: list[dict[str, Any]] = TALK) -> str:
    return Template(text).render(messages, TODAY)


def test_a_template_of_all_messages() -> None:
    assert rendered(CHATML) == "<|system|>S<|user|>U<|assistant|>A<|user|>U2<|assistant|>"


def test_a_template_of_one_turn_is_used_for_each_and_left_open_at_the_end() -> None:
    assert rendered(TURNS) == "<s>S</s><u>U</u><a>A</a><u>U2</u><a>"
    assert rendered("[{{ .System }}|{{ .Prompt }}]") == "[S|U]A[|U2]"
    guarded = "{{ .Prompt }}{{ if .Response }}={{ .Response }};{{ end }}"
    assert rendered(guarded) == "U=A;U2="


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a  {{- 1 -}}  b", "a1b"),
        ("{{/* nothing */}}x", "x"),
        ('{{ "a}}b" }}{{ `c"d` }}', 'a}}bc"d'),
        ("{{ if .Nothing }}a{{ else if true }}b{{ else }}c{{ end }}", "b"),
        ("{{ if not .Nothing }}a{{ end }}", "a"),
        ("{{ with .System }}{{ . }}{{ end }}{{ with .Nothing }}x{{ else }}y{{ end }}", "Sy"),
        ("{{ range .Nothing }}x{{ else }}none{{ end }}", "none"),
        ("{{ range .Messages }}{{ if eq .Role `user` }}{{ break }}{{ end }}{{ .Role }}{{ end }}", "system"),
        ("{{ range .Messages }}{{ if eq .Role `user` }}{{ continue }}{{ end }}{{ .Content }}{{ end }}", "SA"),
        ("{{ $x := 1 }}{{ range .Messages }}{{ $x = .Role }}{{ end }}{{ $x }}", "user"),
        ("{{ (index .Messages 1).Content }}{{ len .Messages }}", "U4"),
        ("{{ range slice .Messages 1 3 }}{{ .Content }}{{ end }}", "UA"),
        ('{{ or .Nothing "z" }}{{ and 1 2 }}{{ eq 1 2 1 }}', "z2true"),
        ("{{ lt 1 2 }}{{ ge 1 2 }}{{ ne 1 1 }}{{ .System | json }}", 'truefalsefalse"S"'),
        ("{{ currentDate }}{{ print 1 `a` }}", "2026-11-011a"),
        ("{{ .Messages | len | print `n=` }}{{ .Nothing }}", "n=4"),
    ],
)
def test_every_part_of_the_language(text: str, result: str) -> None:
    whole = "{{ if .Messages }}" + text + "{{ end }}"
    assert rendered(whole) == result


@pytest.mark.parametrize(
    "text",
    [
        "{{",
        "{{ .X",
        "{{ if .X }}",
        "{{ end }}",
        "{{ else }}",
        "{{ frobnicate .X }}",
        "{{ ( .X }}",
        "{{ .X ) }}",
        "{{ | len }}",
        "{{ }}",
        "{{ if .X }}a{{ else range .Y }}b{{ end }}",
        "{{ .X | .Y }}",
        '{{ "a }}',
        "{{ " + "(" * 100 + ".X" + ")" * 100 + " }}",
        "{{ if .X }}" * 100 + "{{ end }}" * 100,
        "x" * 300_000,
    ],
    ids=range(16),
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(TemplateProblem, match="template error"):
        Template(text)


@pytest.mark.parametrize(
    "text",
    ["{{ $x }}", "{{ .System.More }}", "{{ len 1 }}", "{{ lt 1 `a` }}", "{{ index .Messages 9 }}", "{{ break }}"],
)
def test_what_goes_wrong_while_it_is_rendered_is_an_error_of_the_template(text: str) -> None:
    with pytest.raises(TemplateProblem):
        rendered("{{ if .Messages }}" + text + "{{ end }}")


def test_a_template_that_cannot_render_a_short_conversation_is_none() -> None:
    for _ in range(2):
        with pytest.raises(TemplateProblem):
            template_of("{{ if .Messages }}{{ len 1 }}{{ end }}")
    assert template_of(CHATML) is template_of(CHATML)


def test_a_template_that_does_not_end_is_stopped() -> None:
    with pytest.raises(TemplateProblem, match="too many steps"):
        rendered("{{ range $.Messages }}" * 9 + "x" + "{{ end }}" * 9, TALK * 10)


def test_jinja_is_told_apart() -> None:
    assert is_jinja("{% for m in messages %}{{ m }}{% endfor %}")
    assert not is_jinja(CHATML)


@given(st.text(alphabet="{}.-$|()\"`'/* aifendrgX:=01", max_size=60))
def test_any_text_is_a_template_or_an_error(text: str) -> None:
    with contextlib.suppress(TemplateProblem):
        rendered(text)


EACH = "{{ range .Messages }}"
EACH_OF_EACH = EACH + "{{ range $.Messages }}"
TOO_MUCH = {
    "texts": EACH + "x" * 200_000 + "{{ end }}",
    "JSON, written": EACH_OF_EACH + "{{ json $.Messages }}{{ end }}{{ end }}",
    "JSON, only asked": EACH + "{{ if json $.Messages }}{{ end }}" * 1000 + "{{ end }}",
    "messages, written": EACH_OF_EACH + "{{ $.Messages }}{{ end }}{{ end }}",
    "messages, printed": EACH + "{{ if print $.Messages }}{{ end }}{{ end }}",
    "texts that double": "{{ $x := json .Messages }}" + "{{ $x = print $x $x }}" * 40,
    "texts that are kept": EACH + "{{ $y := print $.System `.` }}" * 100 + "{{ end }}",
    "comparisons of texts": EACH_OF_EACH + "{{ if eq .Content $.System }}x{{ end }}{{ end }}{{ end }}",
    "copies of lists": EACH_OF_EACH + "{{ if slice $.Messages 1 }}{{ end }}" * 100 + "{{ end }}{{ end }}",
    "loops": EACH_OF_EACH + "{{ range $.Messages }}{{ end }}{{ end }}{{ end }}",
    "loops that are left": EACH_OF_EACH + "{{ range $.Messages }}{{ break }}{{ end }}{{ end }}{{ end }}",
    "actions": EACH + "{{ if true }}{{ end }}" * 10_000 + "{{ end }}",
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_a_template_ends_soon_and_makes_no_more_text_than_a_prompt(kind: str) -> None:
    messages = [{"role": "system", "content": "y" * 2000}] * 1000
    if kind.startswith(("texts", "JSON", "messages")):
        tracemalloc.start()
    try:
        with pytest.raises(TemplateProblem, match=r"more than 16 million characters|too many steps"):
            Template(TOO_MUCH[kind]).render(messages, TODAY)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20, "bytes at once"
    finally:
        tracemalloc.stop()


def test_lists_are_not_compared() -> None:
    with pytest.raises(TemplateProblem, match="error calling eq: non-comparable type"):
        rendered("{{ if eq .Messages .Messages }}{{ end }}")


def test_a_long_conversation_may_take_more_steps_than_a_short_one() -> None:
    text = EACH + "{{ if .Role }}{{ .Content }}{{ end }}" * 20 + "{{ end }}"
    assert len(Template(text).render([{"role": "user", "content": "x"}] * 3000, TODAY)) == 60_000


ENDLESS = {
    "comments": "{{" + "/**/" * 5000,
    "comments in an action": "{{ if " + "/**/" * 5000 + " }}",
    "comments that are not closed": "{{/*" * 5000,
    "quotes": "{{" + "'a" * 50_000,
    "texts": "{{" + '""' * 50_000 + "'",
    "back quotes": "{{ `" + "x" * 100_000,
    "parentheses": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "pipes": "{{ 1 " + "| print " * 20_000 + "}}",
    "fields": "{{ $" + ".a" * 60_000 + " }}",
    "arguments": "{{ print " + "1 " * 60_000 + " }}",
    "blocks": "{{ if true }}" * 10_000,
    "branches": "{{ if true }}" + "{{ else if true }}" * 10_000 + "{{ end }}",
    "braces": "{{ " + "}" + " }" * 50_000,
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_text_that_is_no_template_is_refused_without_trying_every_way_to_read_it(kind: str) -> None:
    with pytest.raises(TemplateProblem):
        Template(ENDLESS[kind])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a {{/* {{ x }} \" ' ` */}} b", "a  b"),
        ("a {{- /* } */ -}} b", "ab"),
        ("a{{ /* c */ }}b", "ab"),
        ('{{ `}}` }}{{ "}}" }}', "}}}}"),
        ("a {{- 1 -}} b", "a1b"),
        ("a {{ -1 }} b", "a -1 b"),
        ("{{- `-` -}}", "-"),
    ],
)
def test_actions_end_where_go_ends_them(text: str, shown: str) -> None:
    assert rendered(text + "{{ if .Messages }}{{ end }}") == shown


def test_an_answer_that_is_begun_stays_open_at_its_end() -> None:
    text = "<s>{{ .System }}<u>{{ .Prompt }}<a>{{ .Response }}<e>"
    begun = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}]
    assert Template(text).render(begun, TODAY) == "<s><u>Hi<a>Hel"
