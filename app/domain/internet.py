"""Which addresses the hub may be sent to by others: those of the public internet, and no others."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

# What the registries of special-purpose addresses (IANA, RFC 6890) hold. Written out, since what `ipaddress`
# takes for global differs between the versions of Python.
_SPECIAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds keep their metadata there
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
    )
)
_GLOBAL_UNICAST = ip_network("2000::/3")
_SPECIAL_6 = tuple(
    ip_network(network)
    for network in (
        "2001::/23",  # Teredo and other protocols: they carry addresses inside
        "2001:db8::/32",
        "2002::/16",  # 6to4 likewise
        "3fff::/20",
    )
)


def is_public(address: str) -> bool:
    """Tell whether an IP address, as the resolver writes it, is one of the public internet.

    An IPv4 address that is mapped into IPv6 counts as the IPv4 address; whatever else carries an IPv4 address
    inside (NAT64, 6to4, Teredo) is not public, and neither is what is no address.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return ip in _GLOBAL_UNICAST and not any(ip in network for network in _SPECIAL_6)
        ip = ip.ipv4_mapped
    return not any(ip in network for network in _SPECIAL)
