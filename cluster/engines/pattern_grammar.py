"""Regular expressions of JSON schemas (ECMA-262) as rules of llama.cpp's grammars, matching texts inside a JSON string. Pure.

llama.cpp's own translation drops what it does not know, and lets ``.`` match the quotation mark that ends the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Ranges = list[tuple[int, int]]
"""Code points, both ends included."""

_LAST = 0x10FFFF
_ESCAPED = {0x22: '\\"', 0x5C: "\\\\", 0x08: "\\b", 0x0C: "\\f", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
"""What JSON writes with a backslash."""
_UNSAFE: Ranges = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F), (0xD800, 0xDFFF)]
_DIGITS: Ranges = [(0x30, 0x39)]
_WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE: Ranges = [
    *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
]
_LINES: Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B, "0": 0}
_COUNT = re.compile(r"\{(\d{1,6})(,?)(\d{0,6})\}")
MOST_REPEATS = 1000
"""llama.cpp takes no grammar with more."""
_DEEPEST = 20


class NotEnforceable(ValueError):
    """The text says what no grammar of llama.cpp could keep."""


def literal(text: str) -> str:
    """A text in a grammar."""
    return '"' + "".join(_in_quotes(each) for each in text) + '"'


def _in_quotes(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() and ord(character) < _LAST else _hex(ord(character))


def _hex(point: int) -> str:
    if point < 0x100:
        return f"\\x{point:02X}"
    return f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"


def complement(ranges: Ranges) -> Ranges:
    found, at = [], 0
    for low, high in sorted(ranges):
        if low > at:
            found.append((at, low - 1))
        at = max(at, high + 1)
    return [*found, (at, _LAST)] if at <= _LAST else found


def _without(ranges: Ranges, unwanted: Ranges) -> Ranges:
    return complement([*complement(ranges), *unwanted])


def one_of(ranges: Ranges) -> str:
    """One character of ``ranges`` as JSON writes it. Raises `NotEnforceable` when there is none."""
    ways = []
    if safe := _without(ranges, _UNSAFE):
        ways.append(
            "[" + "".join(_hex(low) if low == high else f"{_hex(low)}-{_hex(high)}" for low, high in safe) + "]"
        )
    ways += [
        literal(written) for point, written in _ESCAPED.items() if any(low <= point <= high for low, high in ranges)
    ]
    if not ways:
        raise NotEnforceable("a set of characters is empty")
    return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"


ANY = one_of([(0, _LAST)])
"""Any character of a text."""


@dataclass(frozen=True)
class Matched:
    """A rule, and how many characters it matches at least and at most (``None``: any number)."""

    rule: str
    least: int
    most: int | None
    size: int = 1
    """How many places it has once its repetitions are unrolled."""


EMPTY = Matched('""', 0, 0)


def matched(pattern: str) -> Matched:
    """What a text that has a match somewhere looks like as a whole. Raises `NotEnforceable`."""
    return _Parser(pattern).whole()


def repeated(rule: str, least: int, most: int | None) -> str:
    """``rule`` so many times; of a long one many at once, because llama.cpp unrolls each repetition."""
    if most is None:
        return f"{_times(rule, least)} {rule}*" if least > MOST_REPEATS else f"{rule}{{{least},}}"
    if most <= MOST_REPEATS:
        return f"{rule}{{{least},{most}}}"
    free = most - least
    groups, rest = divmod(free, MOST_REPEATS)
    more = (
        f"({rule}{{{MOST_REPEATS}}}){{0,{groups - 1}}} {rule}{{0,{MOST_REPEATS}}} {rule}{{0,{rest}}}" if groups else ""
    )
    return f"{_times(rule, least)} {more or f'{rule}{{0,{rest}}}'}"


def _times(rule: str, count: int) -> str:
    groups, rest = divmod(count, MOST_REPEATS)
    if groups > MOST_REPEATS:
        raise NotEnforceable(f"{count} repetitions are too many")
    return f"({rule}{{{MOST_REPEATS}}}){{{groups}}} {rule}{{{rest}}}" if groups else f"{rule}{{{rest}}}"


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Matched:
        ways = [self._anchored()]
        while self._take("|"):
            ways.append(self._anchored())
        if self._at < len(self._text):
            raise NotEnforceable(f"unmatched '{self._text[self._at]}'")
        found = _either(ways)
        if found.size > 4 * MOST_REPEATS:
            raise NotEnforceable("its repetitions are too many")
        return found

    def _anchored(self) -> Matched:
        """One way to match; what has no anchor may have anything before it or after it."""
        begins = self._take("^")
        middle = self._sequence(0, top=True)
        ends = self._take("$")
        around = Matched(f"{ANY}*", 0, None)
        return _joined([*([] if begins else [around]), middle, *([] if ends else [around])])

    def _alternatives(self, depth: int) -> Matched:
        if depth > _DEEPEST:
            raise NotEnforceable("groups are nested too deeply")
        ways = [self._sequence(depth)]
        while self._take("|"):
            ways.append(self._sequence(depth))
        return _either(ways)

    def _sequence(self, depth: int, *, top: bool = False) -> Matched:
        found = []
        while self._at < len(self._text) and self._peek() not in "|)":
            if top and self._peek() == "$" and self._text[self._at + 1 : self._at + 2] in ("", "|"):
                break
            found.append(self._quantified(self._atom(depth)))
        return _joined(found)

    def _peek(self) -> str:
        return self._text[self._at]

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise NotEnforceable("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _atom(self, depth: int) -> Matched:
        character = self._next()
        match character:
            case "(":
                self._open()
                found = self._alternatives(depth + 1)
                if not self._take(")"):
                    raise NotEnforceable("a group is not closed")
                return found
            case "[":
                return Matched(one_of(self._set()), 1, 1)
            case ".":
                return Matched(one_of(complement(_LINES)), 1, 1)
            case "\\":
                return Matched(one_of(self._escape()), 1, 1)
            case "^" | "$":
                raise NotEnforceable(f"'{character}' stands in the middle")
            case "*" | "+" | "?":
                raise NotEnforceable(f"'{character}' has nothing to repeat")
        return Matched(one_of([(ord(character), ord(character))]), 1, 1)

    def _open(self) -> None:
        if not self._take("?"):
            return
        if self._take(":"):
            return
        if named := re.compile(r"P?<\w+>").match(self._text, self._at):
            self._at = named.end()
            return
        raise NotEnforceable("'(?" + self._text[self._at : self._at + 1] + "' looks around or sets flags")

    def _quantified(self, atom: Matched) -> Matched:
        if self._at >= len(self._text):
            return atom
        bounds: tuple[int, int | None]
        if count := _COUNT.match(self._text, self._at):
            self._at = count.end()
            least = int(count[1])
            bounds = (least, (int(count[3]) if count[3] else None) if count[2] else least)
        elif self._peek() in "*+?":
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self._next()]
        else:
            return atom
        self._take("?")  # how eagerly it matches makes no difference to what it matches
        least, most = bounds
        if max(least, most or 0) > MOST_REPEATS or (most is not None and most < least):
            raise NotEnforceable(f"a repetition of {least} to {most}")
        if not atom.least and most != 1:
            raise NotEnforceable("what may be empty is repeated")
        size = atom.size * max(1, least, most or 0)
        if size > MOST_REPEATS:
            raise NotEnforceable("its repetitions within one another are too many")
        longest = None if most is None or atom.most is None else atom.most * most
        return Matched(repeated(f"({atom.rule})", least, most), atom.least * least, longest, size)

    def _escape(self) -> Ranges:
        character = self._next()
        if (kind := _CLASSES.get(character.lower())) is not None:
            return kind if character.islower() else complement(kind)
        if character in _CONTROLS:
            return [(_CONTROLS[character],) * 2]
        if character in "xu":
            digits = re.compile(rf"[0-9a-fA-F]{{{2 if character == 'x' else 4}}}").match(self._text, self._at)
            if digits is None:
                raise NotEnforceable(f"'\\{character}' without its digits")
            self._at = digits.end()
            return [(int(digits[0], 16),) * 2]
        if character.isalnum():
            raise NotEnforceable(f"'\\{character}' is not known to grammars")
        return [(ord(character), ord(character))]

    def _set(self) -> Ranges:
        inverted = self._take("^")
        ranges: Ranges = []
        while not self._take("]"):
            low = self._member()
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                high = self._member()
                if len(low) != 1 or len(high) != 1 or low[0][0] > high[0][1]:
                    raise NotEnforceable("a range of characters is upside down")
                low = [(low[0][0], high[0][1])]
            ranges += low
        return complement(ranges) if inverted else ranges

    def _member(self) -> Ranges:
        character = self._next()
        if character == "\\":
            if self._take("b"):
                return [(0x08, 0x08)]
            return self._escape()
        return [(ord(character), ord(character))]


def _joined(parts: list[Matched]) -> Matched:
    if not parts:
        return EMPTY
    most = None if any(part.most is None for part in parts) else sum(part.most or 0 for part in parts)
    size = sum(part.size for part in parts)
    return Matched(" ".join(part.rule for part in parts), sum(part.least for part in parts), most, size)


def _either(ways: list[Matched]) -> Matched:
    if len(ways) == 1:
        return ways[0]
    most = None if any(way.most is None for way in ways) else max(way.most or 0 for way in ways)
    size = sum(way.size for way in ways)
    return Matched(f"({' | '.join(way.rule for way in ways)})", min(way.least for way in ways), most, size)
