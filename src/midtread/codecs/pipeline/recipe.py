"""Stages as text and back: `ycbcr+wavelet97(levels=4)`, `static(order=levels)`, `deadzone(step=16.0,point=0.375)`.

    stages    stage { "+" stage }
    stage     name [ "(" [ option "=" value { "," option "=" value } ] ")" ]
    value     number │ word │ 'text' │ true │ false │ "(" [ value { "," value } ] ")"

Nothing is evaluated. What is parsed may come from a file: lengths and nesting are limited, errors are UsageError and
become BitstreamError where the text was in a file.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

from midtread.errors import UnknownNameError, UsageError
from midtread.registry import Registry, nearest

LONGEST = 2**15  # characters: a quantizer with a level for each of 256 symbols has 3,000
_DEEPEST = 3  # tuples in tuples
_TOKEN = re.compile(
    r"(?P<word>[A-Za-z_][\w./-]*)|(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|'(?P<text>[^']*)'|(?P<mark>[(),=+])",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """A stage by name, with the options that were given."""

    name: str
    options: dict[str, Any]


def parse(text: str, what: str) -> list[Stage]:
    """The stages of a chain. `what` names it in errors: UsageError says where the text goes wrong."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        raise UsageError(f"{what} takes text like name(option=value)+name of up to {LONGEST} characters, got {text!r}")
    return _Parser(text, what).stages()


def build(registry: Registry, stage: Stage) -> Any:
    """The object of a stage. Raises UnknownNameError (stage or option), UsageError (value)."""
    cls = registry.get(stage.name)
    who = f"{registry.kind} {stage.name!r}"
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    for option in stage.options:
        if option not in known:
            takes = nearest(option, known) if known else "; it takes none"
            raise UnknownNameError(f"{who} has no option {option!r}{takes}")
    try:
        return cls(**stage.options)
    except UsageError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:  # a word where a number belongs, and the like
        raise UsageError(f"{who} cannot take {stage.options}: {error}") from error


def write(stages: Iterable[Any]) -> str:
    """The text of stages, each with the options that differ from their defaults; `parse` and `build` undo it."""
    return "+".join(_text(stage) for stage in stages)


def _text(stage: Any) -> str:
    options = {
        field.name: getattr(stage, field.name)
        for field in dataclasses.fields(stage)
        if field.init and getattr(stage, field.name) != field.default
    }
    inside = ",".join(f"{name}={_value(value)}" for name, value in options.items())
    return f"{stage.name}({inside})" if inside else str(stage.name)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({','.join(map(_value, value))})"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else repr(value)


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, what: str) -> None:
        self._text, self._what, self._at = text, what, 0
        self._kind, self._token = "", ""
        self._next()

    def stages(self) -> list[Stage]:
        found = [self._stage()]
        while self._skip("+"):
            found.append(self._stage())
        if self._kind:
            raise self._wrong("'+' and the next stage, or the end")
        return found

    def _stage(self) -> Stage:
        name, options = self._word("the name of a stage"), dict[str, Any]()
        if not self._skip("("):
            return Stage(name, options)

        def option() -> None:
            key = self._word("the name of an option")
            if key in options:
                raise UsageError(f"{self._what}: {name} has the option {key!r} twice")
            if not self._skip("="):
                raise self._wrong(f"'=' after {key}")
            options[key] = self._value(_DEEPEST)

        self._list(option)
        return Stage(name, options)

    def _value(self, depth: int) -> Any:
        kind, token = self._kind, self._token
        if kind == "mark" and token == "(" and depth:
            self._next()
            values: list[Any] = []
            self._list(lambda: values.append(self._value(depth - 1)))
            return tuple(values)
        if kind not in ("word", "number", "text"):
            raise self._wrong("a value")
        self._next()
        if kind == "number":
            return int(token) if token.lstrip("-").isdigit() and len(token) < 20 else float(token)
        return token == "true" if kind == "word" and token in ("true", "false") else token

    def _list(self, one: Callable[[], None]) -> None:
        """What follows an opening bracket, to the closing one."""
        while not self._skip(")"):
            one()
            if not self._skip(",") and self._token != ")":
                raise self._wrong("',' or ')'")

    def _word(self, expected: str) -> str:
        if self._kind != "word":
            raise self._wrong(expected)
        token = self._token
        self._next()
        return token

    def _skip(self, mark: str) -> bool:
        if self._kind != "mark" or self._token != mark:
            return False
        self._next()
        return True

    def _next(self) -> None:
        while self._text[self._at : self._at + 1] == " ":
            self._at += 1
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            self._kind, self._token = "?" if self._at < len(self._text) else "", ""
            return
        self._at, self._kind = match.end(), str(match.lastgroup)
        self._token = match[self._kind]

    def _wrong(self, expected: str) -> UsageError:
        begin = self._at - len(self._token)
        got = repr(self._text[begin : begin + 20]) if self._kind else "the end"
        return UsageError(
            f"{self._what}: expected {expected} at character {begin}, got {got}; "
            "stages are written like ycbcr+wavelet97(levels=4)"
        )
