"""FilterConfig: everything that `preau-filter serve` was told, by options or PREAU_FILTER_* variables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from filter.endpoints import ConfigInvalid, Endpoint, is_address
from filter.listening import (
    HTTPS_PORT,
    MOST_CONNECTIONS,
    MOST_PER_CLIENT,
    TLS_PORT,
    ListeningGiven,
    check_certificate,
    check_public_name,
    read_count,
    read_rate,
    read_workers,
)
from filter.namecounts import DEFAULT_DAYS, MOST_DAYS
from filter.plane.choosing import Choice, read_choice
from filter.resolvers import Resolver, Transport, parse_forwards, parse_resolver
from filter.serving.limits import DEFAULT_RATE
from filter.serving.replies import Address
from filter.serving.streams.tls import CertificateFiles
from filter.signing import KeyInvalid, read_public_keys

__all__ = ["ConfigInvalid", "Controller", "Endpoint", "FilterConfig", "Given", "LocalFiles", "check"]

DNS_PORT = 53
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Controller:
    """Where bundles come from."""

    url: str
    credential: str
    """``<filter id>.<secret>``."""
    data_dir: Path
    """Where the last good files stay."""
    trusted_keys: tuple[str, ...]
    """Public keys of which one must have signed what comes, hexadecimal."""
    ca_file: Path | None = None
    interval: float = 30.0

    @property
    def filter_id(self) -> str:
        """What the controller knows this filter by."""
        return self.credential.partition(".")[0]


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """What is served without a controller."""

    names: Path
    policy: Path | None = None
    """None: beside the names."""
    trusted_keys: tuple[str, ...] = ()
    """Empty: signatures are not asked for."""


@dataclass(frozen=True, slots=True)
class FilterConfig:
    """What a filter was told at start."""

    listen: tuple[Endpoint, ...]
    upstreams: tuple[Resolver, ...]
    files: LocalFiles | None = None
    controller: Controller | None = None
    data_dir: Path | None = None
    """Where this filter keeps what it needs after a restart; None: it counts no names."""
    name_counts_days: int = DEFAULT_DAYS
    block_page: Endpoint | None = None
    block_addresses: tuple[Address, ...] = ()
    metrics: Endpoint | None = None
    cache_bytes: int = 64 * MEBIBYTE
    forwards: Mapping[str, tuple[Resolver, ...]] = field(default_factory=dict)
    """Zone -> the resolvers that know the names in it."""
    upstream_ca: Path | None = None
    """Whom to believe about encrypted resolvers; None: the system's authorities."""
    mixes_case: bool = False
    """Whether questions go to plain resolvers with capitals at random."""
    log_format: str = "json"
    listen_tls: tuple[Endpoint, ...] = ()
    listen_https: tuple[Endpoint, ...] = ()
    certificate: CertificateFiles | None = None
    public_name: str | None = None
    """What stands behind a device's label in the server name of TLS."""
    user: str | None = None
    """As whom to go on once the sockets are bound."""
    max_connections: int = MOST_CONNECTIONS
    max_connections_per_client: int = MOST_PER_CLIENT
    rate_limit: int = DEFAULT_RATE
    """Queries a second of one address; 0: no limit."""
    workers: int = 0
    """Processes that answer; 0: this one does all."""
    plane: Choice = Choice.AUTO
    """Who answers over UDP."""


NOTHING_GIVEN = ListeningGiven()


@dataclass(frozen=True, slots=True)
class Given:
    """The options as text, before they are checked."""

    listen: Sequence[str]
    upstream: Sequence[str]
    forward: Sequence[str]
    upstream_ca: Path | None
    random_case: str
    bundle: Path | None
    policy: Path | None
    trusted_key: Sequence[str]
    controller: str | None
    credential_file: Path | None
    ca_file: Path | None
    data_dir: Path | None
    interval: str
    name_counts_days: str
    block_page: str | None
    block_address: Sequence[str]
    metrics: str | None
    cache_mb: str
    log_format: str
    listening: ListeningGiven = NOTHING_GIVEN
    has_sockets: bool = False
    """Whether systemd hands sockets over."""


def check(given: Given) -> FilterConfig:
    """Turn options into a config; raise ConfigInvalid naming everything missing or wrong at once."""
    problems: list[str] = []

    def attempt(text: str, default_port: int | None = None) -> Endpoint | None:
        try:
            return Endpoint.parse(text, default_port)
        except ConfigInvalid as error:
            problems.append(str(error))
            return None

    listen = [e for text in given.listen if (e := attempt(text, DNS_PORT)) is not None]
    problems += [f"--listen {e} : attendu une adresse IP de cette machine" for e in listen if not is_address(e.host)]
    upstreams, forwards = read_resolvers(given, listen, problems)
    block_page = attempt(given.block_page) if given.block_page else None
    metrics = attempt(given.metrics) if given.metrics else None
    told = given.listening
    listen_tls = [e for text in told.listen_tls if (e := attempt(text, TLS_PORT)) is not None]
    listen_https = [e for text in told.listen_https if (e := attempt(text, HTTPS_PORT)) is not None]
    for option, endpoints in (("--listen-tls", listen_tls), ("--listen-https", listen_https)):
        problems += [
            f"{option} {e} : attendu une adresse IP de cette machine" for e in endpoints if not is_address(e.host)
        ]
    streams = [*listen, *listen_tls, *listen_https]
    problems += [f"{each} est demandé deux fois" for each in sorted({e for e in streams if streams.count(e) > 1})]
    if not given.listen and not given.has_sockets:
        problems.append("--listen manque : l’adresse où répondre")
    if not given.upstream:
        problems.append("--upstream manque : le résolveur à qui demander les noms permis")
    keys = read_keys(given.trusted_key, problems)
    controller = check_controller(given, keys, problems)
    days = read_days(given.name_counts_days, problems)
    if given.bundle is None and given.controller is None:
        problems.append("--bundle ou --controller manque : d’où viennent les listes")
    if given.bundle is not None and given.controller is not None:
        problems.append("--bundle et --controller s’excluent : avec un contrôleur, les listes viennent de lui")
    if given.policy is not None and given.bundle is None:
        problems.append("--policy accompagne --bundle")
    addresses = []
    for text in given.block_address:
        if is_address(text.strip()):
            addresses.append(ip_address(text.strip()))
        else:
            problems.append(f"--block-address {text} n’est pas une adresse IP")
    cache_bytes = int(read_number("--cache-mb", given.cache_mb, problems) * MEBIBYTE)
    certificate = check_certificate(told, problems)
    public_name = check_public_name(told, problems)
    connections = read_count("--max-connections", told.max_connections, problems)
    per_client = read_count("--max-connections-per-client", told.max_connections_per_client, problems)
    rate_limit = read_rate(told.rate_limit, problems)
    workers = read_workers(told.workers, problems)
    plane = read_choice(told.plane, problems)
    if given.log_format not in {"json", "console"}:
        problems.append(f"--log-format vaut json ou console (reçu : {given.log_format})")
    if problems:
        raise ConfigInvalid("Options à corriger :\n" + "\n".join(f"  - {problem}" for problem in problems))
    return FilterConfig(
        listen=tuple(listen),
        upstreams=upstreams,
        forwards=forwards,
        upstream_ca=given.upstream_ca,
        mixes_case=given.random_case == "oui",
        files=None if given.bundle is None else LocalFiles(given.bundle, given.policy, keys),
        controller=controller,
        data_dir=given.data_dir,
        name_counts_days=days,
        block_page=block_page,
        block_addresses=tuple(addresses),
        metrics=metrics,
        cache_bytes=cache_bytes,
        log_format=given.log_format,
        listen_tls=tuple(listen_tls),
        listen_https=tuple(listen_https),
        certificate=certificate,
        public_name=public_name,
        user=told.user,
        max_connections=connections,
        max_connections_per_client=per_client,
        rate_limit=rate_limit,
        workers=workers,
        plane=plane,
    )


def read_resolvers(
    given: Given, listen: Sequence[Endpoint], problems: list[str]
) -> tuple[tuple[Resolver, ...], Mapping[str, tuple[Resolver, ...]]]:
    """--upstream and --forward."""
    upstreams: list[Resolver] = []
    for text in given.upstream:
        try:
            upstreams.append(parse_resolver(text))
        except ConfigInvalid as error:
            problems.append(f"--upstream {error}")
    forwards = parse_forwards(given.forward, problems)
    everyone = {*upstreams, *(each for zone in forwards.values() for each in zone)}
    plain = {each.endpoint for each in everyone if each.transport is Transport.UDP}
    problems += [f"{each} est à la fois --listen et résolveur : une boucle" for each in sorted({*listen} & plain)]
    if given.upstream_ca is not None and not given.upstream_ca.is_file():
        problems.append(f"--upstream-ca {given.upstream_ca} n’existe pas")
    if given.random_case not in {"oui", "non"}:
        problems.append(f"--random-case vaut oui ou non (reçu : {given.random_case})")
    return tuple(upstreams), forwards


def check_controller(given: Given, keys: tuple[str, ...], problems: list[str]) -> Controller | None:
    """What is needed to speak to a controller, when one is named."""
    if given.controller is None:
        return None
    if urlsplit(given.controller).scheme not in {"https", "http"} or not urlsplit(given.controller).hostname:
        problems.append(f"--controller {given.controller} : attendu https://hôte[:port]")
    if given.data_dir is None:
        problems.append("--data-dir manque : où garder les dernières listes reçues")
    credential, own_keys = read_credential(given.credential_file, problems)
    if credential and not (own_keys or keys):
        problems.append(f"--credential-file {given.credential_file} : aucune clé de confiance (ligne « ed25519 CLÉ »)")
    interval = read_number("--interval", given.interval, problems)
    if given.ca_file is not None and not given.ca_file.is_file():
        problems.append(f"--ca-file {given.ca_file} n’existe pas")
    if problems or given.data_dir is None:
        return None
    url = given.controller.rstrip("/")
    return Controller(url, credential, given.data_dir, (*own_keys, *keys), given.ca_file, interval)


def read_number(option: str, text: str, problems: list[str]) -> float:
    """A number above zero."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        problems.append(f"{option} {text} n’est pas un nombre plus grand que zéro")
        return 1.0
    return number


def read_days(text: str, problems: list[str]) -> int:
    """A number of whole days, 0 for none."""
    if text.isdecimal() and int(text) <= MOST_DAYS:
        return int(text)
    problems.append(f"--name-counts-days {text} : attendu un nombre de jours, de 0 (rien n’est compté) à {MOST_DAYS}")
    return 0


def read_keys(texts: Sequence[str], problems: list[str]) -> tuple[str, ...]:
    """Public keys, hexadecimal."""
    try:
        read_public_keys(texts)
    except KeyInvalid as error:
        problems.append(f"clé de confiance : {error}")
    return tuple(text.strip().lower() for text in texts)


def read_credential(path: Path | None, problems: list[str]) -> tuple[str, tuple[str, ...]]:
    """Line 1 is ``<id>.<secret>``; each further line ``ed25519 <hex>`` is a key to trust."""
    if path is None:
        problems.append("--credential-file manque : le fichier qui contient l’identifiant de ce filtre")
        return "", ()
    try:
        first, *others = path.read_text("utf-8").strip().splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"--credential-file {path} : illisible ({error})")
        return "", ()
    credential = first.strip()
    if "." not in credential or not credential.isascii() or not credential.isprintable():
        problems.append(f"--credential-file {path} : attendu une ligne <identifiant>.<secret>")
    keys = [words[1] for line in others if len(words := line.split()) == 2 and words[0] == "ed25519"]
    return credential, read_keys(keys, problems)
