"""Records of a zone in master file format (RFC 1035, section 5), streamed: nothing but the record at hand is kept."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from filter.lists.refused import RuleRefused

TOKEN = re.compile(r'[ \t\r\f\v]+|;.*|"((?:[^"\\]|\\.)*)"|[()]|((?:[^\s;()"\\]|\\.|"(?:[^"\\]|\\.)*")+)|.', re.DOTALL)
ESCAPE = re.compile(r"\\([0-9]{3})|\\(.)", re.DOTALL)
TTL = re.compile(r"[0-9]+(?:[smhdw](?:[0-9]+[smhdw])*)?", re.IGNORECASE | re.ASCII)
PLAIN = re.compile(
    rb"([a-z0-9_*][a-z0-9_.*-]*)[ \t]+(?:[0-9]+[ \t]+)?(?:in[ \t]+)?cname[ \t]+\.\s*", re.IGNORECASE
).fullmatch
"""Nearly every line of nearly every policy zone: no such name."""
NXDOMAIN = ("CNAME", ".")
ROOT = (".",)
CLASSES = frozenset(("IN", "CH", "HS", "CS"))
LONGEST_LINE = 4096
"""Bytes; a TXT record may need some."""
MOST_TOKENS = 1000
"""Of one record; parentheses that nobody closes end there."""


class Record(NamedTuple):
    """One record, names as written."""

    number: int
    """Of its first line."""
    text: str
    """Its first line."""
    owner: str
    """Absolute, in lower case and without the dot at its end, if ``is_absolute``; else there was no $ORIGIN."""
    is_absolute: bool
    origin: str
    """What relative names in ``fields`` are relative to; "" when nothing was said."""
    type: str
    """Upper-case."""
    fields: tuple[str, ...]
    """What comes after the type, without quotes, escapes left as they are."""


class Plain(NamedTuple):
    """``owner CNAME .``, as nearly every record of nearly every policy zone has it: kept small, and read faster."""

    number: int
    owner: str
    """In lower case, relative to the origin of then."""


class Origin(NamedTuple):
    """What relative names are relative to from here on."""

    name: str


class Line(NamedTuple):
    """The tokens of a record, from one line or several."""

    number: int
    text: str
    inherits: bool
    """It begins with white space: its owner is that of the record before."""
    tokens: tuple[str, ...]


class Refusal(NamedTuple):
    """A line that is no record."""

    number: int
    text: str
    reason: str


def read_records(lines: Iterable[tuple[int, bytes]]) -> Iterator[Record | Plain | Origin | Refusal]:
    """Every record of a zone, and every line that is none. $INCLUDE and $GENERATE are refused."""
    origin, inherited = "", ""
    for line in join_lines(lines):
        if isinstance(line, Plain):
            inherited = line.owner
            yield line
        elif isinstance(line, Refusal):
            yield line
        else:
            try:
                if line.tokens[0].startswith("$"):
                    origin, inherited = read_directive(line.tokens, origin), hang(inherited, origin)
                    yield Origin(origin)
                else:
                    inherited = inherited if line.inherits else line.tokens[0]
                    yield read_record(line, inherited, origin)
            except RuleRefused as refusal:
                yield Refusal(line.number, line.text, refusal.reason)


def read_directive(tokens: tuple[str, ...], origin: str) -> str:
    """The origin from here on. Raises RuleRefused for directives that would bring in more than the file holds."""
    directive = tokens[0].upper()
    if directive == "$TTL":
        return origin
    if directive != "$ORIGIN" or len(tokens) < 2:
        raise RuleRefused("unsupported_syntax")
    return qualify(tokens[1], origin)[0]


def hang(owner: str, origin: str) -> str:
    """The owner that records without one go on with under another origin."""
    name, is_absolute = qualify(owner, origin) if owner else ("", False)
    return f"{name}." if is_absolute else ""


def read_record(line: Line, owner: str, origin: str) -> Record:
    """One record. Raises RuleRefused."""
    if not owner:
        raise RuleRefused("bad_record")
    kind, fields = read_type_and_fields(line.tokens if line.inherits else line.tokens[1:])
    return Record(line.number, line.text, *qualify(owner, origin), origin, kind, fields)


def qualify(name: str, origin: str) -> tuple[str, bool]:
    """(name in lower case without the dot at its end, whether it is known where it hangs)."""
    name = name.lower()
    if name.endswith("."):
        return name[:-1], True
    if not origin:
        return ("", False) if name == "@" else (name, False)
    return (origin, True) if name == "@" else (f"{name}.{origin}", True)


def read_type_and_fields(tokens: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Skip TTL and class, in either order. Raises RuleRefused when nothing is left."""
    rest = list(tokens)
    for _ in range(2):
        if rest and (TTL.fullmatch(rest[0]) or rest[0].upper() in CLASSES):
            rest.pop(0)
    if len(rest) < 2:  # no type of interest has an empty value
        raise RuleRefused("bad_record")
    return rest[0].upper(), tuple(rest[1:])


def join_lines(lines: Iterable[tuple[int, bytes]]) -> Iterator[Line | Plain | Refusal]:
    """Lines cut into tokens; those between parentheses are one."""
    first: Line | None = None
    tokens: list[str] = []
    depth = 0
    for number, raw in lines:
        if first is None and (plain := PLAIN(raw)):
            owner = plain[1].decode().lower()
            yield Line(number, "", False, (owner, *NXDOMAIN)) if owner.endswith(".") else Plain(number, owner)
            continue
        text = raw.decode("utf-8", "surrogateescape").rstrip()
        if first is None:
            first = Line(number, raw.decode("utf-8", "replace").strip(), text[:1].isspace(), ())
        try:
            if len(raw) > LONGEST_LINE:
                raise RuleRefused("too_long")
            depth = cut(text, tokens, depth)
        except RuleRefused as refusal:
            yield Refusal(first.number, first.text, refusal.reason)
            first, tokens, depth = None, [], 0
            continue
        if depth == 0:
            if tokens:
                yield first._replace(tokens=tuple(tokens))
            first, tokens = None, []
    if first is not None:
        yield Refusal(first.number, first.text, "bad_record")


def cut(text: str, tokens: list[str], depth: int) -> int:
    """Add the tokens of a line; the depth of parentheses after it. Raises RuleRefused for quotes nobody closes."""
    for found in TOKEN.finditer(text):
        piece = found[0]
        if piece in "()":
            depth += 1 if piece == "(" else -1
        elif found[1] is not None:
            tokens.append(found[1])
        elif found[2] is not None:
            tokens.append(piece)
        elif not piece.isspace() and not piece.startswith(";"):
            raise RuleRefused("bad_record")
        if depth < 0 or len(tokens) > MOST_TOKENS:
            raise RuleRefused("bad_record")
    return depth


def unescape(field: str) -> str:
    """A character string as it is meant: ``\\034`` and ``\\"`` are a quote. Raises RuleRefused."""

    def meant(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[2]
        if int(found[1]) > 255:
            raise RuleRefused("bad_record")
        return bytes([int(found[1])]).decode("utf-8", "surrogateescape")

    return ESCAPE.sub(meant, field)
