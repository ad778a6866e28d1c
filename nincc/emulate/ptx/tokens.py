"""PTX text cut into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nincc.errors import InternalError

_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<string>"[^"]*")
      | (?P<float>0[fF][0-9a-fA-F]{8}\b|0[dD][0-9a-fA-F]{16}\b)
      | (?P<number>-?(?:0[xX][0-9a-fA-F]+|\d+)U?\b)
      | (?P<word>[.%$\w]+(?:::[.%$\w]+)*)
      | (?P<sign>[{}\[\]()<>,;:+=@!|-])""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    line: int


class Tokens:
    """A cursor over a text's tokens.  InternalError for text that is no PTX, with the line."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_scan(text))
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._tokens)

    @property
    def next(self) -> Token:
        """The token under the cursor."""
        if self.done:
            raise InternalError("the PTX text ends too early")
        return self._tokens[self._at]

    def take(self, kind: str | None = None) -> Token:
        """Moves past the next token, which must be of ``kind``."""
        token = self.next
        if kind is not None and token.kind != kind:
            raise self.wrong(f"a {kind} is expected")
        self._at += 1
        return token

    def accept(self, text: str) -> bool:
        """Moves past the next token if it is ``text``."""
        if self.done or self.next.text != text:
            return False
        self._at += 1
        return True

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.wrong(f"'{text}' is expected")

    def skip_line(self) -> None:
        """Moves past everything on the line of the next token."""
        line = self.next.line
        while not self.done and self.next.line == line:
            self._at += 1

    def skip_past(self, closing: str) -> None:
        """Moves past the next ``closing`` that is not inside braces opened from here on."""
        depth = 0
        while True:
            text = self.take().text
            depth += (text == "{") - (text == "}")
            if text == closing and depth == 0:
                return

    def wrong(self, expected: str) -> InternalError:
        """The error for what stands at the cursor."""
        return InternalError(f"cannot read '{self.next.text}': {expected}", where=f"PTX line {self.next.line}")


def _scan(text: str) -> list[Token]:
    tokens = []
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise InternalError(f"cannot read '{text[at : at + 20]}'", where=f"PTX line {line}")
        kind = match.lastgroup or ""
        if kind != "blank":
            tokens.append(Token(kind, match[0], line))
        line += match[0].count("\n")
        at = match.end()
    return tokens
