r"""GNUstep's property lists as text, the old style, as far as SOGo writes them.

"{ key = value; }", "( value, value )", "<00ff>", "quoted" and bare strings. What ends a bare string
and what stands for a character in a quoted one is defined by GNUstep's ``NSPropertyList.m``
(``parsePlItem``, ``parseQuotedString``, ``PString``): ``\a \b \t \r \n \v \f``, one to three octal
digits, ``\U`` and up to four hexadecimal digits of a UTF-16 unit, and else the character itself.
``plistlib`` reads only the XML and binary forms.
"""

import re
from collections.abc import Iterator
from typing import NewType

Opaque = NewType("Opaque", str)  # a value as the text that stands for it, not looked into

_DEPTH = 100
_SPACE = re.compile(r"[ \t\r\n\f\x08]*+")
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_BARE = re.compile(r"[0-9A-Za-z!#$%&*+\-./:?@|~_^]++")
_DATA = re.compile(r"<(?:\*[BDIR][^<>]*+|[0-9A-Fa-f \t\r\n]*+)>")
_ESCAPE = re.compile(r"\\([0-7]{1,3}|[Uu][0-9A-Fa-f]{1,4}|.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "t": "\t", "r": "\r", "n": "\n", "v": "\v", "f": "\f"}
_TO_ESCAPE = re.compile(r"[^\t\n\r !#-\[\]-~]")
_SHORT = {"\a": r"\a", "\b": r"\b", "\v": r"\v", "\f": r"\f", "\\": r"\\", '"': r"\""}


class PropertyListReader:
    """Reads a property list from its beginning to its end, value by value.

    Every method reads one value, or raises ValueError when it is not there. While the iterators of
    ``entries`` and ``items`` run, the caller reads each value that they stand before.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0

    def entries(self) -> Iterator[str]:
        """Yield the keys of a dictionary; the reader then stands before the key's value."""
        self._expect("{")
        while not self._accept("}"):
            key = self.string()
            self._expect("=")
            yield key
            if not self._accept(";"):
                self._expect("}")
                return

    def items(self) -> Iterator[None]:
        """Yield once for each value of an array; the reader then stands before it."""
        self._expect("(")
        while not self._accept(")"):
            yield
            if not self._accept(","):
                self._expect(")")
                return

    def string(self) -> str:
        """Read a string."""
        self._skip_space()
        if match := _QUOTED.match(self._text, self._position):
            self._position = match.end()
            return _unescaped(match[1])
        if match := _BARE.match(self._text, self._position):
            self._position = match.end()
            return match[0]
        raise self._unexpected("a string")

    def opaque(self) -> Opaque:
        """Read any value, and return the text of it."""
        self._skip_space()
        start = self._position
        self._pass()
        return Opaque(self._text[start : self._position])

    def end(self) -> None:
        """Make sure that nothing follows."""
        self._skip_space()
        if self._position != len(self._text):
            raise self._unexpected("the end")

    def _pass(self) -> None:
        if self._depth > _DEPTH:
            raise ValueError("values lie too deep in one another")
        self._depth += 1
        self._skip_space()
        match self._text[self._position : self._position + 1]:
            case "{":
                for _ in self.entries():
                    self._pass()
            case "(":
                for _ in self.items():
                    self._pass()
            case "<":
                self._data()
            case _:
                self.string()
        self._depth -= 1

    def _data(self) -> None:
        match = _DATA.match(self._text, self._position)
        if match is None:
            raise self._unexpected("bytes")
        self._position = match.end()

    def _accept(self, mark: str) -> bool:
        self._skip_space()
        is_there = self._text.startswith(mark, self._position)
        self._position += is_there
        return is_there

    def _expect(self, mark: str) -> None:
        if not self._accept(mark):
            raise self._unexpected(mark)

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._position)
        self._position = match.end() if match else self._position

    def _unexpected(self, wanted: str) -> ValueError:
        # Never what stands there instead: it may be anybody's appointment.
        return ValueError(f"{wanted} is missing at character {self._position}")


def quoted(text: str) -> Opaque:
    """Return a string as GNUstep writes it: ASCII only, line ends as they are."""
    return Opaque(f'"{_TO_ESCAPE.sub(_escape, text)}"')


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if short := _SHORT.get(character):
        return short
    if character < "\x80":
        return f"\\{ord(character):03o}"
    units = character.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\U{units[at : at + 4]}" for at in range(0, len(units), 4))


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    units = _ESCAPE.sub(_character, text)
    # Characters beyond the first plane come as two halves.
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "Uu" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _ESCAPED.get(code, code)
