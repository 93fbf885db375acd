"""Go templates, as Ollama's models have them, rendered to the text that the model reads."""

from __future__ import annotations

import contextlib
import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.engines.template import Template, is_jinja
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


def test_a_template_that_does_not_end_is_stopped() -> None:
    with pytest.raises(TemplateProblem, match="does not come to an end"):
        rendered("{{ range $.Messages }}" * 9 + "x" + "{{ end }}" * 9, TALK * 10)


def test_jinja_is_told_apart() -> None:
    assert is_jinja("{% for m in messages %}{{ m }}{% endfor %}")
    assert not is_jinja(CHATML)


@given(st.text(alphabet="{}.-$|()\"`'/* aifendrgX:=01", max_size=60))
def test_any_text_is_a_template_or_an_error(text: str) -> None:
    with contextlib.suppress(TemplateProblem):
        rendered(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ range .Messages }}" + "x" * 200_000 + "{{ end }}",
        "{{ range .Messages }}{{ range $.Messages }}{{ json $.Messages }}{{ end }}{{ end }}",
        "{{ range .Messages }}{{ range $.Messages }}{{ if eq .Content $.System }}x{{ end }}{{ end }}{{ end }}",
        "{{ range .Messages }}{{ range $.Messages }}{{ range $.Messages }}{{ end }}{{ end }}{{ end }}",
    ],
    ids=["texts", "json", "comparisons", "loops"],
)
def test_a_template_ends_soon_and_writes_no_more_than_a_prompt(text: str) -> None:
    messages = [{"role": "system", "content": "y" * 2000}] * 1000
    with pytest.raises(TemplateProblem, match=r"more than 16 million|come to an end"):
        Template(text).render(messages, TODAY)


def test_an_answer_that_is_begun_stays_open_at_its_end() -> None:
    text = "<s>{{ .System }}<u>{{ .Prompt }}<a>{{ .Response }}<e>"
    begun = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}]
    assert Template(text).render(begun, TODAY) == "<s><u>Hi<a>Hel"
