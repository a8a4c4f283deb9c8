"""Settings of the identity providers that people may sign in with: PREAU_OIDC_* variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

SLUG = re.compile(r"[a-z0-9]{1,30}")


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """One OpenID Connect provider, as its operator registered us there."""

    slug: str
    """Names the variables (``PREAU_OIDC_<SLUG>_…``) and the address that the provider sends people back to."""
    name: str
    """What the sign-in page calls it."""
    issuer: str
    """Without trailing slash unless the provider's own name has one; its configuration lies below it."""
    client_id: str
    client_secret: str = field(repr=False)
    domains: frozenset[str] = frozenset()
    """Mail domains that it may vouch for; none: all of them."""
    second_factor: frozenset[str] = frozenset()
    """Values of ``acr`` or ``amr`` that count as a second factor; none: ours is always asked for."""
    ca_file: Path | None = None
    """Authority (PEM) of the provider's certificate, when it is not a public one."""


def read_providers(environ: Mapping[str, str], problems: list[str]) -> tuple[OidcProvider, ...]:
    """The providers that ``PREAU_OIDC_PROVIDERS`` lists; what is missing or wrong is added to ``problems``."""
    slugs = words(environ.get("PREAU_OIDC_PROVIDERS", "").lower())
    wrong = [slug for slug in slugs if not SLUG.fullmatch(slug)]
    if wrong or len(set(slugs)) != len(slugs):
        problems.append("PREAU_OIDC_PROVIDERS : des noms différents en lettres et chiffres, séparés par des virgules")
        return ()
    return tuple(read_provider(environ, slug, problems) for slug in slugs)


def read_provider(environ: Mapping[str, str], slug: str, problems: list[str]) -> OidcProvider:
    """One provider's settings."""
    prefix = f"PREAU_OIDC_{slug.upper()}_"
    given = {name: environ.get(prefix + name, "").strip() for name in NAMES}
    problems += [f"{prefix}{name} manque" for name in REQUIRED if not given[name]]
    if given["ISSUER"] and not is_trustworthy(given["ISSUER"]):
        problems.append(f"{prefix}ISSUER doit commencer par https:// (reçu : {given['ISSUER']})")
    ca_file = Path(given["CA_FILE"]) if given["CA_FILE"] else None
    if ca_file is not None and not ca_file.exists():
        problems.append(f"{prefix}CA_FILE : {ca_file} n’existe pas")
    return OidcProvider(
        slug=slug,
        name=given["NAME"] or slug,
        issuer=given["ISSUER"],
        client_id=given["CLIENT_ID"],
        client_secret=given["CLIENT_SECRET"],
        domains=frozenset(word.lower().removeprefix("@") for word in words(given["DOMAINS"])),
        second_factor=frozenset(words(given["SECOND_FACTOR"])),
        ca_file=ca_file,
    )


REQUIRED = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")
NAMES = (*REQUIRED, "NAME", "DOMAINS", "SECOND_FACTOR", "CA_FILE")


def words(text: str) -> list[str]:
    """Comma-separated values."""
    return [word.strip() for word in text.split(",") if word.strip()]


def is_trustworthy(issuer: str) -> bool:
    """HTTPS, or this machine itself: what a token says is only as good as where its key came from."""
    parts = urlsplit(issuer)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"})
