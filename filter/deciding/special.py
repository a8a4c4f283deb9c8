"""Names that are no public names: answered here, whatever a profile says, and never asked of an upstream."""

from collections.abc import Iterable, Sequence

from filter.deciding.decisions import Action

DS = 43

CANARIES = frozenset(
    {
        "use-application-dns.net",  # a negative answer leaves Firefox's own DoH off
        "mask.icloud.com",  # iCloud Private Relay then says that it is unavailable here
        "mask-h2.icloud.com",
        "mask-canary.icloud.com",
    }
)
"""Names by which software asks whether it may go around the resolver: the answer is no. Negative, not a page."""
ALWAYS: dict[str, Action] = {
    "localhost": Action.LOOPBACK,  # RFC 6761: asking an upstream would tell it nothing good
    "invalid": Action.NXDOMAIN,  # RFC 6761
    "onion": Action.NXDOMAIN,  # RFC 7686: a name of Tor that leaks must not travel further
    "alt": Action.NXDOMAIN,  # RFC 9476: no name of DNS
    "resolver.arpa": Action.NODATA,  # RFC 9462: our own designated resolvers, and there are none
}
LOCAL = frozenset(
    {
        "test",  # RFC 6761
        "local",  # RFC 6762: multicast DNS
        "corp", "home", "internal", "intranet", "lan", "private",  # RFC 6762, appendix G
        "localdomain",
        "home.arpa",  # RFC 8375
        "service.arpa",  # RFC 9665
    }
)  # fmt: skip
"""Names of the local network: unknown to any upstream, unless the policy says that one knows them (private_names)."""


def reverse_ipv4(*octets: Iterable[int]) -> Iterable[str]:
    """The reverse zones of IPv4 networks, most significant octet first."""
    names = [""]
    for choices in octets:
        names = [f"{octet}.{name}" for name in names for octet in choices]
    return (f"{name}in-addr.arpa" for name in names)


REVERSE = frozenset(
    [
        *reverse_ipv4((0, 10, 127)),
        *reverse_ipv4((169,), (254,)),
        *reverse_ipv4((172,), range(16, 32)),
        *reverse_ipv4((192,), (168,)),
        *reverse_ipv4((100,), range(64, 128)),  # RFC 7793: shared between a provider and its subscribers
        *reverse_ipv4((192,), (0,), (2,)),
        *reverse_ipv4((198,), (51,), (100,)),
        *reverse_ipv4((203,), (0,), (113,)),
        *reverse_ipv4((255,), (255,), (255,), (255,)),
        f"{'0.' * 31}0.ip6.arpa",
        f"1.{'0.' * 31}ip6.arpa",
        "d.f.ip6.arpa",
        *(f"{nibble}.e.f.ip6.arpa" for nibble in "89ab"),
        "8.b.d.0.1.0.0.2.ip6.arpa",
    ]
)
"""RFC 6303: reverse zones of private addresses. Forwarded they would tell the upstream what the network looks like."""
LOCAL_NAMES = LOCAL | REVERSE
SPECIAL_NAMES = frozenset(ALWAYS) | LOCAL_NAMES


def special_action(suffixes: Sequence[str], qtype: int, private_names: frozenset[str]) -> tuple[Action, str] | None:
    """What a special name is answered and the name that makes it one; ``suffixes`` are the name and its parents.

    A local name that the policy calls private is an upstream's, such as a gateway's that knows its network.
    """
    if SPECIAL_NAMES.isdisjoint(suffixes):
        return None
    for suffix in suffixes:
        if (action := ALWAYS.get(suffix)) is not None:
            return action, suffix
        if suffix in private_names:
            return None
        if suffix in LOCAL_NAMES:
            if qtype == DS and is_delegated(suffix, suffixes[0]):
                return None
            return Action.NXDOMAIN, suffix
    return None


def is_delegated(suffix: str, name: str) -> bool:
    """Whether a validator asks the parent if a local zone is signed, and is told that it is not (RFC 8375, 5.4;
    RFC 6303, 3)."""
    return suffix == "home.arpa" or (suffix in REVERSE and suffix == name)


def is_public(suffixes: Sequence[str], private_names: frozenset[str]) -> bool:
    """Whether private addresses are refused for this name."""
    return len(suffixes) > 1 and LOCAL_NAMES.isdisjoint(suffixes) and private_names.isdisjoint(suffixes)
