"""CONTRACT agent <-> controller: what travels, as plain data. Standard library only.

Fields are only ever added, always with a default; unknown keys are ignored on both sides. Recorded examples of every
version stay under ``tests/contracts/``. Times are ISO 8601 with an offset; sizes are bytes; durations are seconds.
"""

import json
import types
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

VERSION = 1
MAX_BODY = 256 * 1024
"""Largest request body that the controller reads, in bytes."""

Message = TypeVar("Message")


class ProtocolError(ValueError):
    """The bytes are not a message of this protocol; the text says which field and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one machine from another. Any may be missing or a maker's placeholder; never the serial alone."""

    serial: str | None = None
    smbios_uuid: str | None = None
    macs: tuple[str, ...] = ()  # aa:bb:cc:dd:ee:ff, physical interfaces only


@dataclass(frozen=True, slots=True)
class Facts:
    """What the device says of itself: an allow-list, nothing about people (no users, processes, environment)."""

    hostname: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    architecture: str | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    disk_free_bytes: int | None = None
    battery_percent: int | None = None
    addresses: tuple[str, ...] = ()
    boot_time: str | None = None
    browsers: tuple[str, ...] = ()  # "chromium 156.0", "firefox-esr 153.7"


@dataclass(frozen=True, slots=True)
class EnrollmentRequest:
    """POST /agent/v1/enrollments, no credential: the token is what authorises it."""

    token: str = field(repr=False)  # 12 Crockford characters, without the CA pin
    attempt: str  # 32 hex characters, made once and kept until the reply is saved: a repeat is the same enrolment
    kind: str | None = None  # only checked against the token's when given
    platform: str = "linux"
    identity: Identity = field(default_factory=Identity)
    facts: Facts = field(default_factory=Facts)
    agent_version: str = ""
    protocol: int = VERSION


@dataclass(frozen=True, slots=True)
class EnrollmentReply:
    """201: the device exists and this credential is its own."""

    device_id: str
    credential: str = field(repr=False)  # 256 random bits, hex; ``Authorization: Bearer <device_id>.<credential>``
    asset_tag: str = ""
    school: str = ""
    adopted: bool = False  # True: this identity was known, its history goes on
    check_in_seconds: int = 60


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One icon on the desktop of everyone: the ENT or a page inside it."""

    key: str  # stable, file-name safe: "ent", "ent-messagerie"
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of the managed bookmarks."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class BrowserPolicy:
    """What Chromium and Firefox must obey. ``doh_template`` empty means no DNS over HTTPS."""

    home_page: str = ""
    bookmarks: tuple[Bookmark, ...] = ()
    doh_template: str = ""
    ca_certificates: tuple[str, ...] = ()  # base64 DER: trusted by the browsers besides the system's own


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """The resolvers that the system asks. Empty: the network's own are left alone."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What must be true on a device. Not an order: applying it twice is harmless. None: not managed, leave alone."""

    revision: str  # 16 hex characters, hash of the rest
    shortcuts: tuple[Shortcut, ...] = ()
    browser: BrowserPolicy | None = None
    dns: DnsSettings | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one resource went at the last application."""

    resource: str  # "shortcuts", "browser", "dns"
    status: str  # "unchanged", "applied", "repaired" (had drifted), "failed", "unsupported"
    detail: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class CheckIn:
    """POST /agent/v1/checkins. Facts travel only when their hash is new to the controller."""

    facts_hash: str
    facts: Facts | None = None
    applied_revision: str = ""
    outcomes: tuple[Outcome, ...] = ()
    agent_version: str = ""
    protocol: int = VERSION


@dataclass(frozen=True, slots=True)
class CheckInReply:
    """200. ``desired`` only when its revision differs from the one applied."""

    desired: DesiredState | None = None
    want_facts: bool = False
    next_check_in_seconds: int = 60
    server_time: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Any 4xx or 5xx body. ``code`` is stable (``token.expired``), ``detail`` is French for a person."""

    code: str
    detail: str = ""


def encode(message: object) -> bytes:
    """Write a message as canonical JSON (sorted keys, no spaces, UTF-8): equal messages give equal bytes."""
    if not is_dataclass(message) or isinstance(message, type):
        raise TypeError(f"{message!r} is not a message")
    return json.dumps(asdict(message), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode(kind: type[Message], body: bytes) -> Message:
    """Read a message; raise ProtocolError on anything that is not one. Unknown keys are ignored."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error
    built: Message = _build(kind, document, "message")
    return built


def _build(kind: Any, value: object, path: str) -> Any:  # a type or a typing form: Python 3.11 has no type for these
    if is_dataclass(kind):
        return _build_dataclass(kind, value, path)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (a for a in arguments if a is not type(None))
        return _build(inner, value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise ProtocolError(f"{path}: a list is expected")
        return tuple(_build(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if type(value) is not kind:  # exact: True is not the number 1
        raise ProtocolError(f"{path}: {kind.__name__} is expected")
    if kind is str and any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in str(value)):
        raise ProtocolError(f"{path}: NUL or a lone surrogate is not text")
    return value


def _build_dataclass(kind: Any, value: object, path: str) -> Any:
    if not isinstance(value, dict):
        raise ProtocolError(f"{path}: an object is expected")
    hints = get_type_hints(kind)
    built: dict[str, Any] = {}
    for each in fields(kind):
        if each.name in value:
            built[each.name] = _build(hints[each.name], value[each.name], f"{path}.{each.name}")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ProtocolError(f"{path}.{each.name}: is missing")
    return kind(**built)
