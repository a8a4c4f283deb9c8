"""Names of public encrypted-DNS resolvers and private relays: ways around the filter that a profile closes.

Each operator publishes its own; together with UT1's ``doh`` list (names and addresses) they cover what browsers and
systems offer in their settings. New endpoints escape any list: the gateway also closes port 853 and known addresses,
and managed devices have encrypted DNS fixed by policy.
"""

from filter.names import longest_suffix

BROWSERS = """
    dns.google dns64.dns.google
    cloudflare-dns.com one.one.one.one 1dot1dot1dot1.com cloudflare-gateway.com cloudflareclient.com
    mozilla.cloudflare-dns.com chrome.cloudflare-dns.com
    dns.quad9.net dns9.quad9.net dns10.quad9.net dns11.quad9.net dns12.quad9.net
    dns.nextdns.io dns1.nextdns.io dns2.nextdns.io doh.nextdns.io doh3.dns.nextdns.io
    firefox.dns.nextdns.io chromium.dns.nextdns.io anycast.dns.nextdns.io
    doh.opendns.com doh.familyshield.opendns.com doh.sandbox.opendns.com dns.opendns.com
    dns.umbrella.com doh.umbrella.com
    dns.adguard-dns.com family.adguard-dns.com unfiltered.adguard-dns.com d.adguard-dns.com
    dns.adguard.com dns-family.adguard.com dns-unfiltered.adguard.com
    doh.cleanbrowsing.org doh2.cleanbrowsing.org family-filter-dns.cleanbrowsing.org adult-filter-dns.cleanbrowsing.org
    security-filter-dns.cleanbrowsing.org
    doh.xfinity.com dot.xfinity.com doh.cox.net dot.cox.net dns.telekom.de public.dns.iij.jp
    dns.controld.com freedns.controld.com
"""
EUROPE = """
    ns0.fdn.fr ns1.fdn.fr doh.bortzmeyer.fr dot.bortzmeyer.fr
    dns0.eu zero.dns0.eu kids.dns0.eu open.dns0.eu
    protective.joindns4.eu child.joindns4.eu noads.joindns4.eu child-noads.joindns4.eu unfiltered.joindns4.eu
    dns.digitale-gesellschaft.ch dns.switch.ch dns.mullvad.net doh.mullvad.net
    base.dns.mullvad.net adblock.dns.mullvad.net all.dns.mullvad.net extended.dns.mullvad.net family.dns.mullvad.net
    doh.applied-privacy.net dot1.applied-privacy.net doh.libredns.gr dot.libredns.gr
    dnsforge.de blank.dnsforge.de clean.dnsforge.de hard.dnsforge.de doh.ffmuc.net dot.ffmuc.net
    odvr.nic.cz dns.njal.la doh.li dot.li doh.dns.sb dot.sb doh.sb dns.sb uncensored.any.dns.nixnet.xyz
    anycast.uncensoreddns.org unicast.uncensoreddns.org doh.powerdns.org wikimedia-dns.org dns.comss.one
    common.dot.dns.yandex.net safe.dot.dns.yandex.net family.dot.dns.yandex.net
"""
ELSEWHERE = """
    dns.alidns.com doh.pub dot.pub sm2.doh.pub doh.360.cn dot.360.cn dns.twnic.tw 101.101.101.101.twnic.tw
    doh.tiar.app dot.tiar.app jp.tiar.app jp.tiarap.org doh.tiarap.org dns.oszx.co dns.pumplex.com
    basic.rethinkdns.com max.rethinkdns.com sky.rethinkdns.com dns.decloudus.com
    blitz.ahadns.com doh.la.ahadns.net doh.nl.ahadns.net
    private.canadianshield.cira.ca protected.canadianshield.cira.ca family.canadianshield.cira.ca
    dns.bebasid.com dns.rabbitdns.org security.rabbitdns.org family.rabbitdns.org
    helios.plan9-dns.com kronos.plan9-dns.com pluton.plan9-dns.com draco.plan9-dns.com
    doh.dns4all.eu dot.dns4all.eu dns.surfsharkdns.com
"""
RELAYS = """
    mask.icloud.com mask-h2.icloud.com mask-canary.icloud.com mask-api.icloud.com doh.dns.apple.com
    odoh.cloudflare-dns.com odoh1.surfdomeinen.nl
"""
BYPASS_NAMES = frozenset((BROWSERS + EUROPE + ELSEWHERE + RELAYS).split())


def is_bypass(name: str) -> bool:
    """Whether this name, or one that it lies under, is a public encrypted resolver or relay."""
    return longest_suffix(name, BYPASS_NAMES) is not None
