"""The formats that lists are published in: who reads each, and which one a file is in, told by its content."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from filter.lists.adblock import read_adblock
from filter.lists.addresses import AFTER, read_addresses, read_networks
from filter.lists.dnsmasq import read_dnsmasq
from filter.lists.domains import TRAILING_COMMENT, clean_listed, read_domains
from filter.lists.hosts import is_host_address, read_hosts
from filter.lists.lines import ListRefused, read_raw_lines
from filter.lists.rpz import read_rpz
from filter.lists.source import Reader
from filter.lists.wildcards import read_wildcards
from filter.names import NameRefused

FORMATS: Mapping[str, Reader] = {
    "adblock": read_adblock,
    "addresses": read_addresses,
    "dnsmasq": read_dnsmasq,
    "domains": read_domains,
    "hosts": read_hosts,
    "rpz": read_rpz,
    "wildcards": read_wildcards,
}
SAMPLE = 2000
"""Lines that tell a format: the first ones that are no comment."""
MIXED = "adblock"
"""Its reader also knows lines of hosts files, names, wildcards and addresses: people publish them all in one file."""
RECORD = re.compile(
    r"\S*\s+(?:[0-9]+[smhdw]?\s+)?(?:IN\s+)?(?:[0-9]+\s+)?(?:SOA|NS|CNAME|DNAME|A|AAAA|TXT|MX|PTR|SRV)\s+\S",
    re.IGNORECASE,
)
ZONE = re.compile(r"\$(?:TTL|ORIGIN)\s|\S*\s+(?:[0-9]+[smhdw]?\s+)?(?:IN\s+)?SOA\s", re.IGNORECASE)
"""What every zone file starts with."""
OPTION = re.compile(r"(?:--)?[a-z][a-z0-9-]+\s*=\s*\S")
ADBLOCK = re.compile(r"\|\||@@|\||.*\^(?:$|\$|\|)|.*#[@?$%]{0,2}#|/.*/(?:\$[a-z,=~]+)?$|.*[^/]\$[a-z~]")
KINDS = {
    "zone": "ouvrent un fichier de zone",
    "rpz": "sont des enregistrements de zone",
    "dnsmasq": "sont des options de dnsmasq",
    "adblock": "sont des règles adblock",
    "hosts": "commencent par une adresse suivie de noms",
    "addresses": "sont des adresses ou des réseaux",
    "wildcards": "commencent par « *. »",
    "domains": "sont des noms",
    "url": "sont des adresses de pages",
}
"""What a line may look like -> how to say it of several."""


class Recognition(NamedTuple):
    """A file's format, and in French what tells it."""

    format: str
    why: str


def recognise(path: Path) -> str:
    """The format of a file, a key of FORMATS. Raises ListRefused: HTML, binary, empty, or nothing known."""
    return examine(path).format


def examine(path: Path) -> Recognition:
    """The format and the reason. Raises ListRefused as recognise does."""
    seen = Counter(classify(text) for text in islice(sample_lines(path), SAMPLE))
    total = seen.total()
    if not total:
        raise ListRefused(f"{path} : aucune ligne, ou rien que des commentaires")
    chosen = choose({kind: count for kind, count in seen.items() if kind}, total)
    if chosen is None:
        raise ListRefused(f"{path} : format non reconnu ({seen['']} des {total} premières lignes sont illisibles)")
    told = ", ".join(f"{seen[kind]} {KINDS[kind]}" for kind in KINDS if seen[kind])
    return Recognition(chosen, f"des {total} premières lignes, {told}")


def sample_lines(path: Path) -> Iterator[str]:
    """Lines with something on them, comments apart; white space at the start stays, it matters in zone files."""
    for _, line in read_raw_lines(path):
        text = line.decode("utf-8", "replace").rstrip()
        start = text.lstrip()[:2]
        if start == "##" or (start and start[0] not in "#;![" and start != "//"):
            yield text


def classify(text: str) -> str:
    """What a line looks like: a key of KINDS, or ``""``."""
    return next((kind for kind, looks_so in LOOKS.items() if looks_so(text)), "")


def looks_hosts(text: str) -> bool:
    words = text.partition("#")[0].split()
    return len(words) > 1 and is_host_address(words[0]) and words[1][0] not in ";!"


def looks_like_addresses(text: str) -> bool:
    try:
        return bool(read_networks(AFTER.split(text.strip(), maxsplit=1)[0]))
    except NameRefused:
        return False


def looks_like_name(text: str) -> bool:
    try:
        return bool(clean_listed(TRAILING_COMMENT.split(text.strip(), maxsplit=1)[0]))
    except NameRefused as refusal:
        return refusal.reason in {"public_suffix", "local_name"}


LOOKS: Mapping[str, Callable[[str], bool]] = {
    "hosts": looks_hosts,
    "zone": lambda text: ZONE.match(text) is not None,
    "rpz": lambda text: RECORD.match(text) is not None,
    "addresses": looks_like_addresses,
    "wildcards": lambda text: text.lstrip().startswith("*.") and looks_like_name(text),
    "domains": looks_like_name,
    "dnsmasq": lambda text: OPTION.match(text.lstrip()) is not None,
    "url": lambda text: "://" in text and not text.startswith(("@@", "|")),
    "adblock": lambda text: ADBLOCK.match(text.strip()) is not None,
}
"""The first that fits: from what is unmistakable to what fits much."""


def choose(seen: Mapping[str, int], total: int) -> str | None:
    """The format for so many lines of each look; None when most lines look like nothing."""
    if "zone" in seen:
        return "rpz"
    if 2 * sum(seen.values()) < total:
        return None
    for kind in ("rpz", "dnsmasq"):
        if 2 * seen.get(kind, 0) >= total:
            return kind
    present = {kind for kind, count in seen.items() if 100 * count >= total} - {"url", "rpz", "dnsmasq"}
    if "adblock" in present or ("hosts" in present and len(present) > 1):
        return MIXED
    return next((kind for kind in ("hosts", "wildcards", "domains", "addresses") if kind in present), "domains")
