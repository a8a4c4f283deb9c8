"""Who counts as one guesser, for limits on wrong passwords and wrong tokens."""

import ipaddress


def network_of(address: str) -> str:
    """An IPv4 address, or the /64 that one IPv6 line owns; anything else as it is, cut to 64 characters."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
