"""Settings of the controller, the worker and the command line: PREAU_* variables, read once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from fleet.errors import ConfigurationError
from fleet.oidc_settings import OidcProvider, read_providers
from fleet.stored_secrets import read_keys

DRIVER = "postgresql+psycopg"


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """What the controller, the worker and the command line were told at start.

    Every field comes from the variable of the same name, upper-case, behind ``PREAU_``.
    """

    database_url: str
    broker_url: str
    public_url: str
    """What devices and people type: ``https://host[:port]``, no trailing slash."""
    owner_database_url: str | None = None
    """What `preau migrate` connects as: the tables' owner. Unset: as everything else does. Only the migration needs it:
    the programs' own login owns nothing then, and is let through the doors (fleet.doors)."""
    ca_file: Path | None = None
    """The controller's own CA (PEM). Unset when a public CA signed the certificate: tokens then carry no pin."""
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    profile_cert_file: Path | None = None
    """Certificate (PEM, leaf first, chain behind) that signs .mobileconfig files."""
    profile_key_file: Path | None = None
    smtp_url: str | None = None
    """``smtp://[user:password@]host:port`` (STARTTLS when offered) or ``smtps://…``. Unset: mail waits, and says so."""
    mail_from: str = "preau@localhost"
    ut1_dir: Path | None = None
    """Folder of UT1 lists compiled at night. Unset: the small set that ships with the demo."""
    dns_addresses: tuple[str, ...] = ()
    """Addresses of the filter that devices are told to ask, comma-separated."""
    doh_template: str | None = None
    """``https://dns.example.fr/dns-query/{label}{?dns}``; ``{label}`` becomes the device's own label."""
    dot_domain: str | None = None
    """``dns.example.fr``; a device's Private DNS name is ``<label>.dns.example.fr``."""
    android_dpc_component: str | None = None
    """``package/.AdminReceiver`` of the device policy controller that Android tablets download."""
    android_dpc_url: str | None = None
    android_dpc_checksum: str | None = None
    """URL-safe base64 of the SHA-256 of the certificate that signed that APK."""
    metrics_token: str | None = None
    """What a scraper of /metrics sends as a bearer token. Unset: only this machine itself may read them."""
    check_in_seconds: int = 60
    """How often an agent speaks to the controller, give or take a tenth; five missed in a row and it is silent."""
    audit_key_file: Path | None = None
    """Ed25519 key (PEM, `preau audit key`) that signs checkpoints of the audit log. Unset: they are not signed."""
    audit_mail: str | None = None
    """Whom a checkpoint is mailed to every day, to keep it out of the database's owner's reach."""
    audit_days: int = 365
    """How long entries of the audit log are kept: 180 to 1095 days (fleet.audit.retention)."""
    job_lease_seconds: int = 30
    """How long a job stays with a worker that gives no sign of life; then another one takes it over."""
    job_history_days: int = 90
    """How long jobs that ended are kept, a year at most."""
    log_format: str = "json"
    """``json`` (one object a line) or ``console``."""
    secret_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """``PREAU_SECRET_KEY``: base64 of 32 random bytes, comma-separated. The first seals what the database must not
    show (second factors), each of them opens it."""
    second_factor_required: bool = True
    """``PREAU_SECOND_FACTOR``, ``required`` or ``optional``: whether technicians and administrators must have one."""
    oidc_providers: tuple[OidcProvider, ...] = ()
    """``PREAU_OIDC_PROVIDERS`` and ``PREAU_OIDC_<NAME>_…``: see `fleet.oidc_settings`."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; raise ConfigurationError that names everything missing or wrong at once."""
        problems: list[str] = []

        def required(name: str) -> str:
            value = environ.get(f"PREAU_{name}", "").strip()
            if not value:
                problems.append(f"PREAU_{name} manque")
            return value

        def optional(name: str) -> str | None:
            return environ.get(f"PREAU_{name}", "").strip() or None

        def number(name: str, default: int, unit: str, allowed: range) -> int:
            value = optional(name) or str(default)
            if value.isascii() and value.isdecimal() and len(value) < 10 and int(value) in allowed:
                return int(value)
            bounds = f"de {allowed[0]} à {allowed[-1]}"
            problems.append(f"PREAU_{name} est un nombre de {unit} {bounds} (reçu : {value})")
            return default

        def file(name: str) -> Path | None:
            value = optional(name)
            if value is None:
                return None
            path = Path(value)
            if not path.exists():
                problems.append(f"PREAU_{name} : {path} n’existe pas")
            return path

        database_url = with_driver(required("DATABASE_URL"))
        broker_url = required("BROKER_URL")
        public_url = required("PUBLIC_URL").rstrip("/")
        if public_url and urlsplit(public_url).scheme != "https":
            problems.append(f"PREAU_PUBLIC_URL doit commencer par https:// (reçu : {public_url})")
        check_in_seconds = number("CHECK_IN_SECONDS", 60, "secondes", range(1, 86401))
        job_lease_seconds = number("JOB_LEASE_SECONDS", 30, "secondes", range(3, 601))
        audit_days = number("AUDIT_DAYS", 365, "jours", range(180, 1096))
        job_history_days = number("JOB_HISTORY_DAYS", 90, "jours", range(1, 366))
        smtp_url = optional("SMTP_URL")
        if smtp_url and urlsplit(smtp_url).scheme not in {"smtp", "smtps"}:  # not quoted: it may hold a password
            problems.append("PREAU_SMTP_URL s’écrit smtp://[utilisateur:motdepasse@]hôte[:port] ou smtps://…")
        log_format = optional("LOG_FORMAT") or "json"
        if log_format not in {"json", "console"}:
            problems.append(f"PREAU_LOG_FORMAT vaut json ou console (reçu : {log_format})")
        second_factor = optional("SECOND_FACTOR") or "required"
        if second_factor not in {"required", "optional"}:
            problems.append(f"PREAU_SECOND_FACTOR vaut required ou optional (reçu : {second_factor})")
        secret_keys: tuple[bytes, ...] = ()
        if text := optional("SECRET_KEY"):
            try:
                secret_keys = read_keys(text)
            except ValueError:  # not quoted: it is the key
                problems.append("PREAU_SECRET_KEY : 32 octets en base64 (openssl rand -base64 32)")
        config = cls(
            database_url=database_url,
            broker_url=broker_url,
            public_url=public_url,
            owner_database_url=with_driver(optional("OWNER_DATABASE_URL") or "") or None,
            ca_file=file("CA_FILE"),
            tls_cert_file=file("TLS_CERT_FILE"),
            tls_key_file=file("TLS_KEY_FILE"),
            profile_cert_file=file("PROFILE_CERT_FILE"),
            profile_key_file=file("PROFILE_KEY_FILE"),
            smtp_url=smtp_url,
            mail_from=optional("MAIL_FROM") or "preau@localhost",
            ut1_dir=file("UT1_DIR"),
            dns_addresses=tuple(a.strip() for a in (optional("DNS_ADDRESSES") or "").split(",") if a.strip()),
            doh_template=optional("DOH_TEMPLATE"),
            dot_domain=optional("DOT_DOMAIN"),
            android_dpc_component=optional("ANDROID_DPC_COMPONENT"),
            android_dpc_url=optional("ANDROID_DPC_URL"),
            android_dpc_checksum=optional("ANDROID_DPC_CHECKSUM"),
            metrics_token=optional("METRICS_TOKEN"),
            audit_key_file=file("AUDIT_KEY_FILE"),
            audit_mail=optional("AUDIT_MAIL"),
            audit_days=audit_days,
            check_in_seconds=check_in_seconds,
            job_lease_seconds=job_lease_seconds,
            job_history_days=job_history_days,
            log_format=log_format,
            secret_keys=secret_keys,
            second_factor_required=second_factor != "optional",
            oidc_providers=read_providers(environ, problems),
        )
        if problems:
            raise ConfigurationError("Réglages à corriger : " + " ; ".join(problems))
        return config

    def check_serving(self) -> None:
        """Raise ConfigurationError when people could not sign in with what is given: only a controller needs this."""
        if self.second_factor_required and not self.secret_keys:
            raise ConfigurationError(
                "Réglages à corriger : PREAU_SECRET_KEY manque (openssl rand -base64 32) ; sans elle, personne ne peut "
                "activer le second facteur que PREAU_SECOND_FACTOR=required exige"
            )


def with_driver(url: str) -> str:
    """Name the psycopg 3 driver in a ``postgres://`` or ``postgresql://`` URL, so that no default decides."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return f"{DRIVER}://{url.removeprefix(prefix)}"
    return url
