"""The safe variants that search engines offer by DNS, and YouTube's restricted mode.

Names and targets agree across several public filters and guides; the engines' own pages could not be read from where
this was written, so check one before relying on it: a wrong target breaks a search engine in every school. Where
sources contradict each other (Brave, Qwant, Startpage) an engine stands in WITHOUT_SAFE_SEARCH, so that a profile can
block it.

A name is rewritten alone, without what is under it: engines serve other things there (maps, mail, translation).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from filter.settings import YouTube


@dataclass(frozen=True, slots=True)
class SafeTarget:
    """Where a name leads instead. Record types other than A and AAAA have no answer, or the client goes around it."""

    engine: str
    target: str = ""
    """A name, answered as a CNAME with its own addresses."""
    addresses: tuple[str, ...] = ()
    """When the engine gives addresses and no name; families that are missing have no answer."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A search engine with a safe variant that its users cannot leave."""

    title: str
    names: frozenset[str]
    target: str = ""
    addresses: tuple[str, ...] = ()


COUNTRIES = """
    ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw by bz
    ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr
    ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it
    je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp
    mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa
    re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to
    tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
"""Country codes of the DNS. Google holds its name in nearly all of them, publishes those it promotes and moves between
forms (google.co.ve, google.com.ve): every form is rewritten, so that no list has to be followed. A name that were not
Google's would lead to Google's safe search, nowhere worse."""
GOOGLE = frozenset(
    {"www.google.com", "www.google.cat", "www.google.it.ao"}
    | {f"www.google.{form}{country}" for country in COUNTRIES.split() for form in ("", "co.", "com.")}
)
YANDEX_SUFFIXES = """
    az by co.il com com.am com.ge com.ru com.tr com.ua de ee eu fi fr kg kz lt lv md net org pl ru st tj tm ua uz
"""
YANDEX_DOMAINS = ["ya.ru", "xn--d1acpjx3f.xn--p1ai", *(f"yandex.{suffix}" for suffix in YANDEX_SUFFIXES.split())]
YANDEX = frozenset(name for domain in YANDEX_DOMAINS for name in (domain, f"www.{domain}"))

ENGINES: Mapping[str, Engine] = {
    "google": Engine("Google", GOOGLE, "forcesafesearch.google.com"),
    "bing": Engine("Bing", frozenset({"www.bing.com", "edgeservices.bing.com"}), "strict.bing.com"),
    "duckduckgo": Engine(
        "DuckDuckGo",
        frozenset({"duckduckgo.com", "www.duckduckgo.com", "start.duckduckgo.com"}),
        "safe.duckduckgo.com",
    ),
    "ecosia": Engine("Ecosia", frozenset({"www.ecosia.org"}), "strict-safe-search.ecosia.org"),
    "pixabay": Engine("Pixabay", frozenset({"pixabay.com"}), "safesearch.pixabay.com"),
    "yandex": Engine("Yandex", YANDEX, addresses=("213.180.193.56",)),
}
"""Slug (as in ProfileSettings.safe_search) -> engine."""
YOUTUBE_NAMES = frozenset(
    {
        "www.youtube.com",
        "m.youtube.com",
        "youtubei.googleapis.com",
        "youtube.googleapis.com",
        "www.youtube-nocookie.com",
    }
)
"""Google's own list: the pages, the applications and the players embedded in other sites."""
WITHOUT_SAFE_SEARCH: Mapping[str, tuple[str, ...]] = {
    "AOL": ("search.aol.com",),
    "Ask": ("ask.com",),
    "Baidu": ("www.baidu.com", "image.baidu.com", "m.baidu.com"),
    "Brave": ("search.brave.com",),  # contested target
    "Dogpile": ("dogpile.com",),
    "DuckDuckGo sans script": ("html.duckduckgo.com", "lite.duckduckgo.com", "noai.duckduckgo.com"),
    "Gibiru": ("gibiru.com",),
    "Kagi": ("kagi.com",),
    "Lycos": ("search.lycos.com",),
    "Marginalia": ("marginalia-search.com", "search.marginalia.nu"),
    "MetaGer": ("metager.de", "metager.org"),
    "Mojeek": ("mojeek.com", "mojeek.co.uk", "mojeek.fr"),
    "Naver": ("search.naver.com", "m.search.naver.com"),
    "Presearch": ("presearch.com", "presearch.org"),
    "Qwant": ("qwant.com",),  # safeapi.qwant.com is said by community lists only
    "SearXNG": ("searx.be", "searx.space", "searxng.site"),
    "Seznam": ("search.seznam.cz",),
    "Sogou": ("www.sogou.com", "pic.sogou.com"),
    "Startpage": ("startpage.com", "ixquick.com"),  # safe.startpage.com is said by community lists only
    "Yahoo": ("search.yahoo.com", "images.search.yahoo.com", "fr.search.yahoo.com", "search.yahoo.co.jp"),
    "Yep": ("yep.com",),
    "You": ("you.com",),
}
"""Search engines that DNS cannot make safe, with what is under their names: the service ``search-unsafe``."""

SAFE_SEARCH: Mapping[str, SafeTarget] = {
    name: target
    for slug, engine in ENGINES.items()
    for target in (SafeTarget(slug, engine.target, engine.addresses),)
    for name in engine.names
}
YOUTUBE_TARGETS: Mapping[YouTube, SafeTarget] = {
    YouTube.MODERATE: SafeTarget("youtube", "restrictmoderate.youtube.com"),
    YouTube.STRICT: SafeTarget("youtube", "restrict.youtube.com"),
}


def rewrite_for(name: str, engines: frozenset[str], youtube: YouTube) -> SafeTarget | None:
    """Where this name leads with these engines made safe; None: where it always does. One or two look-ups."""
    target = SAFE_SEARCH.get(name)
    if target is not None:
        return target if target.engine in engines else None
    if name in YOUTUBE_NAMES:
        return YOUTUBE_TARGETS.get(youtube)
    return None
