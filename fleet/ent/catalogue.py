"""Example portals: public addresses to check before use, since each territory may have its own.

Addresses as publicly documented in 2025: ONE and NEO are Édifice's (formerly Open Digital Education) and share the
paths of their open-source applications; Beneylu School has one sign-in page, behind which its applications live.
"""

from fleet.ent.models import EntLink, EntPortal, EntProduct

ONE_AISNE = "one-aisne"
EDIFICE_LINKS = (
    ("messagerie", "Messagerie", "/conversation/conversation"),
    ("cahier-de-textes", "Cahier de textes", "/homeworks"),
    ("blog", "Blog", "/blog"),
    ("espace-documentaire", "Espace documentaire", "/workspace/workspace"),
)
"""Short name, title, path below the portal."""


def example_portals() -> list[EntPortal]:
    """The portals that a demonstration starts with, new objects at each call."""
    return [
        _portal(ONE_AISNE, "ONE, écoles de l’Aisne", EntProduct.ONE, "https://oneconnect.edifice.io", EDIFICE_LINKS),
        _portal("neo", "NEO, collèges et lycées", EntProduct.NEO, "https://neoconnect.edifice.io", EDIFICE_LINKS),
        _portal("beneylu", "Beneylu School", EntProduct.BENEYLU, "https://beneylu.com/ent/", ()),
    ]


def _portal(slug: str, name: str, product: EntProduct, url: str, links: tuple[tuple[str, str, str], ...]) -> EntPortal:
    rows = [
        EntLink(position=position, slug=link, title=title, url=url + path)
        for position, (link, title, path) in enumerate(links, 1)
    ]
    return EntPortal(slug=slug, name=name, product=product, url=url, links=rows)
