"""An upstream that answers every name, always the same: plainly, by aliases, with nothing, or with what none should."""

import hashlib
import struct

A, NS, CNAME, SOA, MX, TXT, AAAA, DNAME, RRSIG, HTTPS = 1, 2, 5, 6, 15, 16, 28, 39, 46, 65
ADDRESSES = ("5db8d822", "5db8d823", "0a000001", "cb007107", "7f000001", "c0000263", "c6336409")
ADDRESSES6 = (
    "20010db8000000000000000000000001", "2a000000000000000000000000000001", "fd000000000000000000000000000001",
    "00000000000000000000ffff5db8d822", "0064ff9b00000000000000000a000001", "20020a00000100000000000000000001",
)  # fmt: skip
TTLS = (0, 1, 5, 60, 300, 599, 600, 601, 86_400, 200_000, 1 << 31, 0xFFFFFFFF)
TARGETS = (
    "cible.example", "www.jeu.example", "nu.example", "deux.jeu.example", "www.google.com", "localhost", "dns.google",
    "permis.example", "bloque.example", "intranet.example", "fin.example.net", "a.b.c.fin.example.net",
    "x.regle.example", "excepte.jeu.example",
)  # fmt: skip


def pack_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def record(owner: bytes, rtype: int, ttl: int, data: bytes, rclass: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(data)) + data


class Dice:
    """Choices that depend on what is asked and nothing else."""

    def __init__(self, seed: bytes) -> None:
        self.state = int.from_bytes(hashlib.sha256(seed).digest())

    def roll(self, sides: int) -> int:
        self.state, found = divmod(self.state, sides)
        return found


def soa(dice: Dice, question_name: str) -> bytes:
    owners = [question_name.partition(".")[2], question_name, "", "elsewhere.example", "example"]
    data = pack_name("ns.example") + pack_name("root.example") + struct.pack("!5I", 1, 2, 3, 4, TTLS[dice.roll(12)])
    return record(pack_name(owners[dice.roll(5)]), SOA, TTLS[dice.roll(12)], data if dice.roll(12) else data[:9])


def data_of(dice: Dice, qtype: int) -> bytes:
    match qtype:
        case 1:
            return bytes.fromhex(ADDRESSES[dice.roll(7)])[: 4 if dice.roll(40) else 3]
        case 28:
            return bytes.fromhex(ADDRESSES6[dice.roll(6)])
        case 65 | 64:
            target = b"\0" if dice.roll(2) else pack_name(TARGETS[dice.roll(14)])
            hints = b"\0\4\0\4" + bytes.fromhex(ADDRESSES[dice.roll(7)]) if dice.roll(2) else b""
            alpn = b"\0\1\0\3\2h2"
            return b"\0\1" + target + alpn + hints + (b"" if dice.roll(30) else b"\0")
        case 5 | 2 | 39:
            return pack_name(TARGETS[dice.roll(14)])
        case 16:
            return b"\xc8" + b"t" * 200
        case 15:
            return b"\0\n\xc0\x0c"
        case _:
            return b"data"


def answer_to(question: bytes, name: str, dnssec_ok: bool) -> bytes | None:
    """The message, or None when nobody answers."""
    qtype = int.from_bytes(question[-4:-2])
    dice = Dice(question + bytes([dnssec_ok]))
    if not dice.roll(40):
        return None
    answers: list[bytes] = []
    owner = b"\xc0\x0c" if dice.roll(3) else question[:-4]
    rcode = 0
    kind = dice.roll(12)
    while dice.roll(3) == 0 and len(answers) < 10 and qtype != CNAME:
        target = pack_name(TARGETS[dice.roll(14)])
        answers.append(record(owner, CNAME, TTLS[dice.roll(12)], target))
        owner = target
    if kind < 8:
        most = 12 if dice.roll(6) == 0 else 2
        answers += [record(owner, qtype, TTLS[dice.roll(12)], data_of(dice, qtype)) for _ in range(1 + dice.roll(most))]
    elif kind < 10:
        rcode = 3
    if dice.roll(25) == 0:
        answers.append(
            record(owner, (DNAME, RRSIG, NS, qtype)[dice.roll(4)], 300, data_of(dice, CNAME), 1 + dice.roll(2))
        )
    if dice.roll(30) == 0:
        answers.reverse()
    authorities = [soa(dice, name)] if (kind >= 8) == bool(dice.roll(8)) else []
    if dice.roll(6) == 0:
        authorities.insert(dice.roll(2), record(pack_name("example"), NS, 300, pack_name("ns.example")))
    if dnssec_ok and dice.roll(2):
        authorities.append(record(pack_name("example"), RRSIG, 300, struct.pack("!H", SOA) + b"sig"))
    extra = [record(pack_name("ns.example"), A, 300, data_of(dice, A))] if dice.roll(8) == 0 else []
    extra += [record(b"\0", 41, 0x8000 if dnssec_ok else 0, b"", 1232)] if dice.roll(4) else []
    flags = 0x8180 | (0x0020 if dice.roll(3) == 0 else 0) | (0x0400 if dice.roll(3) == 0 else 0) | rcode
    head = struct.pack("!HHHHHH", 0, flags, 1, len(answers), len(authorities), len(extra))
    return head + question + b"".join([*answers, *authorities, *extra])
