"""What people decided, before it is compiled: profiles, networks, the default. Plain data, the POLICY section."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Self

from filter.clients import NetworkInvalid, parse_network
from filter.names import NameRefused, clean_name

SCHOOL_CATEGORIES: tuple[str, ...] = (
    "adult",
    "agressif",
    "cryptojacking",
    "dangerous_material",
    "dating",
    "ddos",
    "dialer",
    "doh",
    "drogue",
    "gambling",
    "hacking",
    "lingerie",
    "malware",
    "mixed_adult",
    "phishing",
    "redirector",
    "residential-proxies",
    "sect",
    "stalkerware",
    "strict_redirector",
    "strong_redirector",
    "tricheur",
    "vpn",
    "warez",
)
"""UT1 categories that a school blocks when nobody chose: harm to pupils, attacks, and ways around the filter."""


class SettingsInvalid(ValueError):
    """The settings contradict themselves; the text says, in French, all that is wrong."""


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """What one group of clients may reach."""

    slug: str
    name: str
    blocked_categories: tuple[str, ...] = ()
    allowed_categories: tuple[str, ...] = ()
    """Lists whose names stay reachable although a blocked list holds them too, or one of their parents."""
    denied_names: tuple[str, ...] = ()
    allowed_names: tuple[str, ...] = ()
    """Own names, each with all that is under it; allowed beats denied, the longer name beats the shorter."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Clients of this network get that profile."""

    cidr: str
    profile: str


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Everything that a person decides."""

    profiles: tuple[ProfileSettings, ...]
    default_profile: str
    networks: tuple[NetworkSettings, ...] = ()
    private_names: tuple[str, ...] = ()
    """Public-looking names that may have private addresses: the school's own servers."""

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Self:
        """Read a POLICY section; unknown keys are ignored. Raise SettingsInvalid."""
        try:
            return cls(
                profiles=tuple(read_profile(p) for p in objects(values["profiles"])),
                default_profile=str(values["default_profile"]),
                networks=tuple(
                    NetworkSettings(str(n["cidr"]), str(n["profile"])) for n in objects(values.get("networks", []))
                ),
                private_names=texts(values.get("private_names", [])),
            )
        except (KeyError, TypeError) as error:
            raise SettingsInvalid(f"politique illisible : {error}") from error

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def objects(value: object) -> Iterable[Mapping[str, object]]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, dict) for item in value):
        raise TypeError("liste d’objets attendue")
    return value


def texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError("liste de textes attendue")
    return tuple(value)


def read_profile(values: Mapping[str, object]) -> ProfileSettings:
    return ProfileSettings(
        slug=str(values["slug"]),
        name=str(values["name"]),
        blocked_categories=texts(values.get("blocked_categories", [])),
        allowed_categories=texts(values.get("allowed_categories", [])),
        denied_names=texts(values.get("denied_names", [])),
        allowed_names=texts(values.get("allowed_names", [])),
    )


def normalise(settings: PolicySettings) -> PolicySettings:
    """The same settings with names as the filter compares them and everything in one order.

    Raises SettingsInvalid naming every bad name, network and profile at once.
    """
    problems: list[str] = []
    profiles = tuple(
        ProfileSettings(
            slug=profile.slug,
            name=profile.name,
            blocked_categories=tuple(sorted(set(profile.blocked_categories))),
            allowed_categories=tuple(sorted(set(profile.allowed_categories))),
            denied_names=clean_names(profile.denied_names, problems),
            allowed_names=clean_names(profile.allowed_names, problems),
        )
        for profile in sorted(settings.profiles, key=lambda p: p.slug)
    )
    slugs = [profile.slug for profile in profiles]
    problems += [f"profil en double : {slug}" for slug in sorted({s for s in slugs if slugs.count(s) > 1})]
    wanted = {settings.default_profile, *(network.profile for network in settings.networks)}
    problems += [f"profil inconnu : {slug}" for slug in sorted(wanted - set(slugs))]
    networks = clean_networks(settings.networks, problems)
    private_names = clean_names(settings.private_names, problems)
    if problems:
        raise SettingsInvalid(" ; ".join(problems))
    return PolicySettings(profiles, settings.default_profile, networks, private_names)


def clean_names(names: Iterable[str], problems: list[str]) -> tuple[str, ...]:
    cleaned = set()
    for name in names:
        try:
            cleaned.add(clean_name(name))
        except NameRefused:
            problems.append(f"nom invalide : {name}")
    return tuple(sorted(cleaned))


def clean_networks(networks: Iterable[NetworkSettings], problems: list[str]) -> tuple[NetworkSettings, ...]:
    cleaned: dict[str, NetworkSettings] = {}
    for network in networks:
        try:
            cidr = str(parse_network(network.cidr))
        except NetworkInvalid as error:
            problems.append(str(error))
            continue
        if cidr in cleaned:
            problems.append(f"réseau en double : {cidr}")
        cleaned[cidr] = NetworkSettings(cidr, network.profile)
    return tuple(cleaned[cidr] for cidr in sorted(cleaned))
