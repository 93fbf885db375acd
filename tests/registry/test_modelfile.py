"""Modelfiles are read as Ollama reads them, and what is written is read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry.modelfile import ROLES, Instruction, as_fields, parse, written
from ollamamax.kernel.errors import InvalidRequest

# Of Ollama's own tests (parser/parser_test.go), and what its documents show.
READ: list[tuple[str, list[Instruction]]] = [
    ("FROM model1", [Instruction("from", "model1")]),
    ("\ufefffrom  a\r\n", [Instruction("from", "a")]),
    (
        "# a comment\n\nFROM a\n# FROM b\nPARAMETER stop x\n",
        [Instruction("from", "a"), Instruction("parameter", "x", "stop")],
    ),
    (
        'FROM a\nSYSTEM """\nYou are\n"Ann".\n"""\nTEMPLATE "x y"\n',
        [Instruction("from", "a"), Instruction("system", '\nYou are\n"Ann".\n'), Instruction("template", "x y")],
    ),
    ('FROM a\nTEMPLATE """{{ .Prompt }}"""', [Instruction("from", "a"), Instruction("template", "{{ .Prompt }}")]),
    (
        'FROM a\nMESSAGE system You are a parser.\nMESSAGE user """Hey\nthere!"""\nMESSAGE assistant Hello, "I" am.\n',
        [
            Instruction("from", "a"),
            Instruction("message", "You are a parser.", "system"),
            Instruction("message", "Hey\nthere!", "user"),
            Instruction("message", 'Hello, "I" am.', "assistant"),
        ],
    ),
    ("PARAMETER  num_ctx   4096\nFROM a", [Instruction("parameter", "4096", "num_ctx"), Instruction("from", "a")]),
]


@pytest.mark.parametrize(("text", "commands"), READ, ids=range(len(READ)))
def test_what_ollama_reads_is_read(text: str, commands: list[Instruction]) -> None:
    assert parse(text) == commands


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no FROM line"),
        ("PARAMETER a b", "no FROM line"),
        ("BADCOMMAND x\nFROM a", r"\(line 1\): command must be one of"),
        ("FROM", "unexpected EOF"),
        ("FROM a\nPARAMETER x", "unexpected EOF"),
        ("FROM a\nMESSAGE king hi", r"\(line 2\): message role must be one of"),
        ('FROM a\nSYSTEM """never ends', "unexpected EOF"),
        ('FROM a\nSYSTEM "never ends', "unexpected EOF"),
    ],
)
def test_what_ollama_refuses_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse(text)


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: '"""' not in text)
COMMANDS = st.one_of(
    st.builds(Instruction, st.sampled_from(["system", "template", "license"]), VALUES),
    st.builds(Instruction, st.just("message"), VALUES, st.sampled_from(sorted(ROLES))),
    st.builds(Instruction, st.just("parameter"), VALUES, st.sampled_from(["stop", "num_ctx"])),
)


@given(st.lists(COMMANDS, max_size=6))
def test_what_is_written_is_read_back(commands: list[Instruction]) -> None:
    whole = [Instruction("from", "a:latest"), *commands]
    assert parse(written(whole)) == whole


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse(text)
    except InvalidRequest as error:
        assert error.message  # noqa: PT017 - and no other error


def test_the_fields_of_create_say_the_same() -> None:
    text = "FROM @sha256:aa\nADAPTER @sha256-bb\nPARAMETER stop a\nPARAMETER stop b\nLICENSE X\nMESSAGE user hi\nSYSTEM s\n"
    assert as_fields(parse(text)) == {
        "files": {"0.gguf": "sha256:aa"},
        "adapters": {"0.gguf": "sha256:bb"},
        "parameters": {"stop": ["a", "b"]},
        "license": ["X"],
        "messages": [{"role": "user", "content": "hi"}],
        "system": "s",
    }
    assert as_fields(parse("FROM llama3:8b"))["from"] == "llama3:8b"
    with pytest.raises(InvalidRequest, match="send the adapter as a blob"):
        as_fields(parse("FROM a\nADAPTER ./lora.gguf"))
