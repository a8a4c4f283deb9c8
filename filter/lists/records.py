"""Records that lists answer with (``$dnsrewrite``, local data of RPZ): checked here, so that serving never fails."""

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from dnslib import QTYPE

from filter.lists.entries import ReplyRecord
from filter.lists.rdata import pack_record
from filter.lists.refused import RuleRefused
from filter.names import LONGEST, VALID

A, CNAME, PTR, MX, TXT, AAAA, SRV, SVCB, HTTPS = 1, 5, 12, 15, 16, 28, 33, 64, 65
TYPES: Mapping[str, int] = dict(QTYPE.reverse)
"""Name of a type, upper-case -> its number (IANA)."""
GENERIC = re.compile(r"TYPE([0-9]{1,5})", re.ASCII)
PARAMETER = re.compile(
    r"(mandatory|alpn|no-default-alpn|port|ipv4hint|ipv6hint|dohpath|key(?:[89]|[1-9][0-9]{1,4}))(?:=(.+))?"
)
"""Of SVCB and HTTPS. ``ech`` is no business of a filter's own answers."""
LISTS = ("mandatory", "alpn", "ipv4hint", "ipv6hint")
UNSAFE = re.compile(r"[\s\"();\\]")
MOST_STRINGS = 255
LONGEST_STRING = 255
"""Bytes of one character string of a TXT record (RFC 1035, section 3.3)."""


def read_type(text: str) -> int:
    """The number of a type, by name or as ``TYPE65`` (RFC 3597). Raises RuleRefused."""
    name = text.strip().upper()
    if (number := TYPES.get(name)) is not None:
        return number
    if (generic := GENERIC.fullmatch(name)) and int(generic[1]) <= 0xFFFF:
        return int(generic[1])
    raise RuleRefused("bad_record")


def read_record(qtype: int, fields: Sequence[str]) -> ReplyRecord:
    """A record from its fields, without quotes; its value comes out as zone files write it, names absolute.

    Raises RuleRefused for a value that its type does not have, and for types that nothing here can answer with.
    """
    write = WRITERS.get(qtype)
    if write is None:
        raise RuleRefused("bad_record")
    try:
        record = ReplyRecord(qtype, write(fields))
        pack_record(record)
    except ValueError as error:  # RuleRefused, RecordInvalid and ipaddress's errors are ValueErrors
        raise RuleRefused("bad_record") from error
    return record


def read_target(text: str) -> str:
    """A name to lead to, as filter.names compares them. Raises RuleRefused."""
    name = text.lower().removesuffix(".")
    if len(name) > LONGEST or VALID.fullmatch(name) is None:
        raise RuleRefused("bad_record")
    return name


def write_name(text: str) -> str:
    """An absolute name; ``.`` alone is the root."""
    return text if text == "." else f"{read_target(text)}."


def write_number(text: str) -> str:
    """A number of 16 bits."""
    if not text.isascii() or not text.isdigit() or int(text) > 0xFFFF:
        raise RuleRefused("bad_record")
    return str(int(text))


def write_address_4(fields: Sequence[str]) -> str:
    (address,) = fields
    return str(IPv4Address(address))


def write_address_6(fields: Sequence[str]) -> str:
    (address,) = fields
    if "%" in address:  # a zone index means nothing in DNS
        raise RuleRefused("bad_record")
    return str(IPv6Address(address))


def write_pointer(fields: Sequence[str]) -> str:
    (target,) = fields
    return write_name(target)


def write_exchange(fields: Sequence[str]) -> str:
    preference, exchange = fields
    return f"{write_number(preference)} {write_name(exchange)}"


def write_service(fields: Sequence[str]) -> str:
    priority, weight, port, target = fields
    return f"{write_number(priority)} {write_number(weight)} {write_number(port)} {write_name(target)}"


def write_strings(fields: Sequence[str]) -> str:
    """Character strings, each in quotes."""
    if not 0 < len(fields) <= MOST_STRINGS:
        raise RuleRefused("bad_record")
    return " ".join(write_string(field) for field in fields)


def write_string(text: str) -> str:
    """One string in quotes; what is not printable ASCII as ``\\DDD`` (RFC 1035, section 5.1)."""
    content = text.encode("utf-8", "surrogateescape")
    if len(content) > LONGEST_STRING:
        raise RuleRefused("bad_record")
    return '"' + "".join(write_byte(byte) for byte in content) + '"'


def write_byte(byte: int) -> str:
    if byte in b'"\\':
        return f"\\{byte:c}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03d}"


def write_binding(fields: Sequence[str]) -> str:
    """SVCB and HTTPS (RFC 9460): priority, target, parameters. An alias (priority 0) goes without these: who hears it
    must ignore them (2.4.2).
    """
    priority, target, *parameters = fields
    keys = [check_parameter(parameter) for parameter in parameters]
    mandatory = [word[len("mandatory=") :].split(",") for word in parameters if word.startswith("mandatory=")]
    needed = [*chain(*mandatory), *(["alpn"] if "no-default-alpn" in keys else [])]
    if len(set(keys)) < len(keys) or "mandatory" in needed or not set(needed) <= set(keys):
        raise RuleRefused("bad_record")
    number = write_number(priority)
    return " ".join([number, write_name(target), *(parameters if number != "0" else ())])


def check_parameter(text: str) -> str:
    """The key of a parameter. Raises ValueError when its value is not what the key asks for."""
    found = PARAMETER.fullmatch(text)
    if found is None or not (text.isascii() and text.isprintable()) or UNSAFE.search(text):
        raise RuleRefused("bad_record")
    key, value = found[1], found[2]
    if (value is None) != (key == "no-default-alpn"):
        raise RuleRefused("bad_record")
    if key == "port":
        write_number(value)
    words = value.split(",") if key in LISTS else []
    if not all(words) or len(set(words)) < len(words):
        raise RuleRefused("bad_record")
    for hint in words if key.endswith("hint") else ():
        IPv4Address(hint) if key == "ipv4hint" else IPv6Address(hint)
    return key


WRITERS: Mapping[int, Callable[[Sequence[str]], str]] = {
    A: write_address_4,
    AAAA: write_address_6,
    CNAME: write_pointer,
    PTR: write_pointer,
    MX: write_exchange,
    SRV: write_service,
    TXT: write_strings,
    SVCB: write_binding,
    HTTPS: write_binding,
}
"""Type -> what checks and writes its value."""
