"""Ranges of numbers as rules of llama.cpp's grammars, which know texts only. Pure."""

from __future__ import annotations

from decimal import Decimal

MOST_DIGITS = 15
"""Of the whole part; more would not come through a double unharmed."""
_LIMIT = 10**MOST_DIGITS - 1
INTEGER = '"-"? ("0" | [1-9] [0-9]{0,15})'
NUMBER = f'{INTEGER} ("." [0-9]{{1,16}})? ([eE] [-+]? [0-9]{{1,2}})?'


def integers(low: int | None, high: int | None) -> str:
    """All from ``low`` to ``high``, both included. Raises `ValueError` when there is none."""
    low, high = max(-_LIMIT, low if low is not None else -_LIMIT), min(_LIMIT, high if high is not None else _LIMIT)
    if low > high:
        raise ValueError("no integer lies in the range")
    ways = []
    if low < 0:
        ways.append(f'"-" ({_naturals(max(1, -high), -low)})')
    if high >= 0:
        ways.append(_naturals(max(0, low), high))
    return " | ".join(ways)


def numbers(low: Decimal | None, high: Decimal | None, *, above: bool = False, below: bool = False) -> str:
    """From ``low`` to ``high``; ``above`` and ``below`` leave the ends themselves out. Raises `ValueError` when there is none."""
    limit = Decimal(_LIMIT)
    if low is None or low < -limit:
        low, above = -limit, False
    if high is None or high > limit:
        high, below = limit, False
    ways = []
    if low < 0:
        # Mirrored: what is the lower end there is the upper one here.
        ways += [f'"-" ({way})' for way in _positive(max(Decimal(0), -high), -low, below and high < 0, above)]
    if high >= 0:
        ways += _positive(max(Decimal(0), low), high, above and low >= 0, below)
    if not ways:
        raise ValueError("no number lies in the range")
    return " | ".join(ways)


def _naturals(low: int, high: int) -> str:
    ways = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 10 ** (digits - 1) if digits > 1 else 0)
        ways.append(_digits(str(least), str(min(high, 10**digits - 1))))
    return " | ".join(ways)


def _digits(low: str, high: str) -> str:
    """Texts of digits of one length, from ``low`` to ``high``."""
    if not low:
        return '""'
    if low == "0" * len(low) and high == "9" * len(high):
        return f"[0-9]{{{len(low)}}}"
    first, last, rest = low[0], high[0], len(low) - 1
    if first == last:
        return f'"{first}" ({_digits(low[1:], high[1:])})' if rest else f'"{first}"'
    if not rest:
        return f"[{first}-{last}]"
    ways = [f'"{first}" ({_digits(low[1:], "9" * rest)})', f'"{last}" ({_digits("0" * rest, high[1:])})']
    if int(last) - int(first) > 1:
        ways.insert(1, f"[{int(first) + 1}-{int(last) - 1}] [0-9]{{{rest}}}")
    return " | ".join(ways)


def _positive(low: Decimal, high: Decimal, above: bool, below: bool) -> list[str]:
    """Ways to write a number of at least 0, without an exponent."""
    if low > high or (low == high and (above or below)):
        return []
    first, last = int(low), int(high)
    if first == last:
        return _of_whole(first, low - first, high - first, above, below)
    ways = _of_whole(first, low - first, None, above, below=False)
    if last - first > 1:
        ways.append(f'({_naturals(first + 1, last - 1)}) ("." [0-9]{{1,16}})?')
    return ways + _of_whole(last, Decimal(0), high - last, above=False, below=below)


def _of_whole(whole: int, low: Decimal, high: Decimal | None, above: bool, below: bool) -> list[str]:
    """Numbers with that whole part whose fractions lie between ``low`` and ``high`` (``None``: up to the next whole)."""
    ways = []
    if low == 0 and not above and not (below and high == 0):
        ways.append(f'"{whole}"')
    if low == 0 and not above and high is None:
        return [f'"{whole}" ("." [0-9]{{1,16}})?']
    places = max(2, -_exponent(low), -_exponent(high or Decimal(0)))
    scale = Decimal(10) ** places
    least, most = int(low * scale) + above, 10**places - 1 if high is None else int(high * scale) - below
    if least <= most:
        ways.append(f'"{whole}." ({_digits(str(least).zfill(places), str(most).zfill(places))})')
    return ways


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(-30, exponent) if isinstance(exponent, int) else 0
