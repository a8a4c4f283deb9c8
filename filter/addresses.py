"""Addresses that no public name may point to: answering them would let a web page reach into the school's network."""

from ipaddress import IPv4Network, IPv6Network, ip_network

PRIVATE_IPV4 = tuple(
    (int(network.network_address), int(network.netmask))
    for network in map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this host": Linux connects it to itself
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
FIRST_OCTET = 0xFF00_0000
PRIVATE_AFTER = {
    octet: tuple((network, mask) for network, mask in PRIVATE_IPV4 if not (octet << 24 ^ network) & mask & FIRST_OCTET)
    for octet in range(256)
}
"""First octet -> the networks that may begin with it: none for most."""
PRIVATE_IPV6 = tuple(
    (int(network.network_address), int(network.netmask))
    for network in map(IPv6Network, ("::/127", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"))
)
EMBEDDED_IPV4 = tuple(
    (ip_network(network).network_address.packed[: prefix // 8], prefix // 8)
    for network, prefix in (("::/96", 96), ("::ffff:0:0/96", 96), ("64:ff9b::/96", 96), ("2002::/16", 16))
)
"""IPv6 prefixes that are followed by an IPv4 address: compatible, mapped, NAT64, 6to4."""


def is_private(packed: bytes) -> bool:
    """Whether an address in network order (4 or 16 bytes) leads inside; IPv4 hidden in IPv6 is judged too."""
    if len(packed) == 4 and not PRIVATE_AFTER[packed[0]]:
        return False
    value = int.from_bytes(packed, "big")
    if len(packed) == 4:
        return any(value & mask == network for network, mask in PRIVATE_AFTER[packed[0]])
    if any(value & mask == network for network, mask in PRIVATE_IPV6):
        return True
    return any(packed[:size] == prefix and is_private(packed[size : size + 4]) for prefix, size in EMBEDDED_IPV4)


def readings(packed: bytes) -> tuple[bytes, ...]:
    """The address, and the IPv4 address that hides in it, if any: lists may name either."""
    if len(packed) == 4:
        return (packed,)
    return (packed, *(packed[size : size + 4] for prefix, size in EMBEDDED_IPV4 if packed[:size] == prefix))
