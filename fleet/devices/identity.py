"""What tells one machine from another, once the makers' placeholders are gone. Pure."""

import re
from dataclasses import dataclass
from enum import Enum

from agent.protocol import Identity

PLACEHOLDERS = frozenset(
    {
        "", "0", "00", "na", "none", "null", "nil", "oem", "test", "empty", "blank", "unknown", "invalid", "default",
        "serial", "serialnumber", "sernum", "serno", "noserial", "noserialnumber", "oemserial", "oemserialnumber",
        "systemserialnumber", "systemserial", "chassisserialnumber", "baseboardserialnumber", "boardserialnumber",
        "tobefilledbyoem", "tobefilledbyoemoem", "filledbyoem", "defaultstring", "defaultserialnumber", "notspecified",
        "notapplicable", "notavailable", "notset", "notsettled", "undefined", "unspecified", "typezeroserialnumber",
        "systemproductname", "systemmanufacturer", "assettag", "noassettag", "oemstring", "ssnstring", "mbserialnumber",
        "0123456789", "123456789", "1234567890", "12345678", "1234567", "123456", "12345", "1234", "0123456789abcdef",
        "123456789abcdef", "87654321", "9876543210", "eval", "evaluation", "insydeserialnumber", "bsn12345678901234567",
    }
)  # fmt: skip
"""Serial numbers that makers leave in, reduced to letters and digits in lower case."""

PLACEHOLDER_UUIDS = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",  # AMI's, left in by many board makers
        "00020003-0004-0005-0006-000700080009",  # the same, read with the other byte order
        "01020304-0506-0708-090a-0b0c0d0e0f10",
        "04030201-0605-0807-090a-0b0c0d0e0f10",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "78563412-3412-7856-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789012",
        "00112233-4455-6677-8899-aabbccddeeff",
        "33221100-5544-7766-8899-aabbccddeeff",
    }
)

SHARED_MAC_PREFIXES = (
    "00:50:56:c0:",  # VMware's host adapters: the same on every machine that has it
    "00:15:5d:",  # Hyper-V switches: derived from an address, changes
    "00:ff:",  # TAP adapters of Windows VPNs
    "00:05:9a:",  # Cisco AnyConnect's adapter: the same everywhere
    "00:09:0f:fe:",  # Fortinet's SSL VPN adapter
    "00:e0:4c:36:",  # cheap USB adapters sold by thousands with one address
    "00:e0:4c:53:44:58",
    "00:00:00:00:00",
)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")


class Likeness(Enum):
    """What comparing two identities says."""

    SAME = "same"
    OTHER = "other"
    CONTRADICTION = "contradiction"  # one part agrees and another does not: a person must decide


@dataclass(frozen=True, slots=True)
class Known:
    """What of an identity is worth comparing."""

    serial: str | None = None
    smbios_uuid: str | None = None
    macs: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.serial or self.smbios_uuid or self.macs)

    def words(self) -> list[str]:
        """One word per part, for a lock on "whoever this is"."""
        words = [f"mac:{mac}" for mac in self.macs]
        words += [f"serial:{self.serial}"] if self.serial else []
        words += [f"uuid:{self.smbios_uuid}"] if self.smbios_uuid else []
        return sorted(words)


def clean_serial(serial: str | None) -> str | None:
    """The serial in upper case, or None when it is missing, unreadable or a placeholder."""
    text = " ".join((serial or "").split()).upper()
    bare = "".join(c for c in text.lower() if c.isalnum())
    if bare in PLACEHOLDERS or len(bare) < 4 or len(set(bare)) == 1 or not text.isprintable():
        return None
    return text


def clean_uuid(smbios_uuid: str | None) -> str | None:
    """The UUID in lower case, or None when it is missing, malformed, all one digit, or a maker's default."""
    text = (smbios_uuid or "").strip().strip("{}").lower()
    if not UUID.fullmatch(text) or text in PLACEHOLDER_UUIDS:
        return None
    pairs = {text.replace("-", "")[i : i + 2] for i in range(0, 32, 2)}
    return None if len(pairs) == 1 else text


def clean_mac(mac: str) -> str | None:
    """The address as aa:bb:cc:dd:ee:ff, or None for a multicast, made-up (locally administered) or shared one."""
    text = mac.strip().lower().replace("-", ":")
    if not MAC.fullmatch(text) or int(text[:2], 16) & 0b11 or text.startswith(SHARED_MAC_PREFIXES):
        return None
    return text


def clean(identity: Identity) -> Known:
    """Keep what identifies; everything a maker left blank or a program made up is dropped."""
    macs = (clean_mac(mac) for mac in identity.macs)
    return Known(
        serial=clean_serial(identity.serial),
        smbios_uuid=clean_uuid(identity.smbios_uuid),
        macs=frozenset(mac for mac in macs if mac),
    )


def compare(known: Known, seen: Known) -> Likeness:
    """Whether two identities are one machine.

    Serial and SMBIOS UUID speak first: agreeing without disagreeing is the same machine, both at once is a
    contradiction (a board was changed, or a serial copied). Addresses decide only when nothing else can be compared,
    and only when one set holds the other: adapters and docks travel, and two machines that shared one are two.
    """
    strong = ((known.serial, seen.serial), (known.smbios_uuid, seen.smbios_uuid))
    agree = any(a is not None and a == b for a, b in strong)
    disagree = any(a is not None and b is not None and a != b for a, b in strong)
    if agree:
        return Likeness.CONTRADICTION if disagree else Likeness.SAME
    shared = known.macs & seen.macs
    return Likeness.SAME if not disagree and shared and shared in (known.macs, seen.macs) else Likeness.OTHER
