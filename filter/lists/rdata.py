"""The data of local records, from the way zone files write it to the bytes that travel."""

import re
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from filter.lists.entries import ReplyRecord

A, NS, CNAME, PTR, MX, TXT, AAAA, SRV, DNAME, SVCB, HTTPS = 1, 2, 5, 12, 15, 16, 28, 33, 39, 64, 65
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
ESCAPE = re.compile(rb"\\([0-9]{3}|.)", re.DOTALL)
SERVICE_KEYS = {
    "mandatory": 0, "alpn": 1, "no-default-alpn": 2, "port": 3, "ipv4hint": 4, "ech": 5, "ipv6hint": 6, "dohpath": 7,
}  # fmt: skip
"""SvcParamKeys (RFC 9460, RFC 9461)."""


class RecordInvalid(ValueError):
    """The text is no value of its type, or the type is one that is not written here."""


@lru_cache(maxsize=1024)
def pack_record(record: ReplyRecord) -> bytes:
    """The record's data, names uncompressed. Raises RecordInvalid."""
    pack = PACKERS.get(record.qtype)
    if pack is None:
        raise RecordInvalid(f"type {record.qtype}")
    try:
        return pack(record.value)
    except (ValueError, struct.error, KeyError) as error:
        raise RecordInvalid(f"type {record.qtype}") from error


def pack_name(text: str) -> bytes:
    """A name of dots and labels; ``\\DDD`` is a byte that no host name has. Raises ValueError when it is too long."""
    labels = [unescape(label.encode()) for label in text.removesuffix(".").split(".")] if text.strip(".") else []
    if not all(0 < len(label) < 64 for label in labels) or sum(map(len, labels)) + len(labels) > 254:
        raise ValueError("label or name of a wrong length")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def unescape(text: bytes) -> bytes:
    return ESCAPE.sub(lambda found: bytes([int(found[1])]) if len(found[1]) == 3 else found[1], text)


def pack_exchange(text: str) -> bytes:
    preference, exchange = text.split()
    return struct.pack("!H", int(preference)) + pack_name(exchange)


def pack_location(text: str) -> bytes:
    """SRV (RFC 2782)."""
    priority, weight, port, target = text.split()
    return struct.pack("!HHH", int(priority), int(weight), int(port)) + pack_name(target)


def pack_strings(text: str) -> bytes:
    """TXT: character strings, in quotes or not."""
    strings = [unescape((found[1] or found[2] or "").encode()) for found in STRING.finditer(text)]
    return b"".join(bytes([len(each)]) + each for each in strings)


def pack_binding(text: str) -> bytes:
    """SVCB and HTTPS (RFC 9460): parameters in the order of their keys."""
    priority, target, *parameters = text.split()
    packed = sorted(pack_parameter(*parameter.partition("=")[::2]) for parameter in parameters)
    body = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in packed)
    return struct.pack("!H", int(priority)) + pack_name(target) + body


def pack_parameter(name: str, value: str) -> tuple[int, bytes]:
    key = SERVICE_KEYS[name] if name in SERVICE_KEYS else int(name.removeprefix("key"))
    match name:
        case "mandatory":
            keys = sorted(pack_parameter(each, "")[0] for each in value.split(",")) if value else []
            return key, b"".join(struct.pack("!H", each) for each in keys)
        case "alpn":
            return key, b"".join(bytes([len(each)]) + each for each in value.encode().split(b",") if each)
        case "port":
            return key, struct.pack("!H", int(value)) if value else b""
        case "ipv4hint":
            return key, b"".join(IPv4Address(each).packed for each in value.split(",") if each)
        case "ipv6hint":
            return key, b"".join(IPv6Address(each).packed for each in value.split(",") if each)
    return key, value.encode()


PACKERS: Mapping[int, Callable[[str], bytes]] = {
    A: lambda text: IPv4Address(text).packed,
    AAAA: lambda text: IPv6Address(text).packed,
    **dict.fromkeys((NS, CNAME, PTR, DNAME), pack_name),
    MX: pack_exchange,
    SRV: pack_location,
    TXT: pack_strings,
    **dict.fromkeys((SVCB, HTTPS), pack_binding),
}
