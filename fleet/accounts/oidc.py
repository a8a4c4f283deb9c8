"""Talking to identity providers: OpenID Connect Core 1.0, authorization code flow with PKCE (RFC 7636). No database."""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet, import_key

from fleet.errors import NotAllowed, NotFound, Unavailable
from fleet.oidc_settings import OidcProvider

TIMEOUT = 5.0
"""Seconds for each answer of a provider: a person waits."""
LEEWAY = 60
"""Seconds that the provider's clock and ours may differ."""
KEPT = timedelta(hours=1)
KEYS_AGAIN = timedelta(seconds=30)
"""A key that we do not know makes us ask again, not more often than this: anybody can name unknown keys."""
ALGORITHMS = ("RS256", "PS256", "ES256", "RS384", "RS512", "ES384", "EdDSA")
"""Signatures with a public key only: with a shared secret, or none, a token proves nothing."""
SCOPE = "openid email profile"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a provider's configuration says (OpenID Connect Discovery 1.0)."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    jwks_uri: str
    auth_methods: tuple[str, ...]
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider vouches for."""

    issuer: str
    subject: str
    email: str
    is_email_verified: bool
    authenticated_at: int | None
    """Seconds since 1970."""
    second_factor: frozenset[str]
    """``acr`` and ``amr`` together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said when the person left for the provider, to hold its answer to."""

    nonce: str
    code_verifier: str
    redirect_uri: str


def refused(why: str) -> NotAllowed:
    return NotAllowed("oidc.refused", f"La connexion par ce service n’a pas abouti ({why}). Recommencez.")


@contextmanager
def reached(provider: OidcProvider) -> Iterator[None]:
    """Say plainly that a provider is away or talks nonsense."""
    try:
        yield
    except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
        raise Unavailable(
            "oidc.away",
            f"« {provider.name} » ne répond pas. Réessayez dans un moment, ou connectez-vous avec votre mot de passe.",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            "oidc.nonsense", f"« {provider.name} » répond autre chose que prévu. Prévenez l’exploitant."
        ) from error


class ProviderClient:
    """One provider: its configuration and keys, kept for an hour."""

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self._facts: Facts | None = None
        self._keys: KeySet | None = None
        self._keys_at: datetime | None = None
        self._lock = Lock()

    def _verify(self) -> ssl.SSLContext | bool:
        return ssl.create_default_context(cafile=self.provider.ca_file) if self.provider.ca_file else True

    def _client(self, **options: object) -> OAuth2Client:
        return OAuth2Client(
            client_id=self.provider.client_id, client_secret=self.provider.client_secret, scope=SCOPE,
            verify=self._verify(), timeout=TIMEOUT, trust_env=False, code_challenge_method="S256", **options,
        )  # fmt: skip

    def _get(self, url: str, **headers: str) -> Mapping[str, object]:
        with httpx2.Client(verify=self._verify(), timeout=TIMEOUT, trust_env=False) as http:
            answer = http.get(url, headers=headers)
            answer.raise_for_status()
            return as_object(answer.json())

    def facts(self, now: datetime) -> Facts:
        """The configuration; raise Unavailable when the provider cannot be reached or is another one."""
        with self._lock:
            if self._facts is not None and now - self._facts.read_at < KEPT:
                return self._facts
            with reached(self.provider):
                said = self._get(f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration")
                if said["issuer"] != self.provider.issuer:
                    raise ValueError("another issuer")
                self._facts = Facts(
                    authorization_endpoint=text_of(said, "authorization_endpoint"),
                    token_endpoint=text_of(said, "token_endpoint"),
                    userinfo_endpoint=str(said.get("userinfo_endpoint") or ""),
                    jwks_uri=text_of(said, "jwks_uri"),
                    auth_methods=strings(said.get("token_endpoint_auth_methods_supported")),
                    read_at=now,
                )
            return self._facts

    def _key_set(self, now: datetime, *, again: bool = False) -> KeySet:
        with self._lock:
            age = None if self._keys_at is None else now - self._keys_at
            fresh = age is not None and (age < KEYS_AGAIN or (age < KEPT and not again))
            if self._keys is None or not fresh:
                facts = self._facts
                if facts is None:
                    raise ValueError("no configuration")
                self._keys = read_keys(self._get(facts.jwks_uri))
                self._keys_at = now
            return self._keys

    def authorization_url(self, asked: Asked, state: str, now: datetime, *, confirms: bool) -> str:
        """Where to send the person; with ``confirms``, the provider must make them prove anew who they are."""
        facts = self.facts(now)
        more = {"prompt": "login", "max_age": "0"} if confirms else {}
        with self._client(redirect_uri=asked.redirect_uri) as http:
            url, _ = http.create_authorization_url(
                facts.authorization_endpoint, state=state, code_verifier=asked.code_verifier, nonce=asked.nonce, **more
            )
        return str(url)

    def claims(self, code: str, asked: Asked, now: datetime) -> Claims:
        """Exchange a code and check all that comes back; raise NotAllowed or Unavailable."""
        facts = self.facts(now)
        token = self._exchange(facts, code, asked)
        id_token, access_token = token.get("id_token"), token.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise refused("réponse sans jeton d’identité")
        said = self._check(id_token, access_token, asked.nonce, now)
        if "email" not in said and facts.userinfo_endpoint:
            said = said | self._userinfo(facts, access_token, said)
        return read_claims(self.provider, said)

    def _exchange(self, facts: Facts, code: str, asked: Asked) -> Mapping[str, object]:
        by_post = facts.auth_methods and "client_secret_basic" not in facts.auth_methods
        method = "client_secret_post" if by_post else "client_secret_basic"
        with (
            reached(self.provider),
            self._client(redirect_uri=asked.redirect_uri, token_endpoint_auth_method=method) as http,
        ):
            try:
                return dict(
                    http.fetch_token(
                        facts.token_endpoint,
                        grant_type="authorization_code",
                        code=code,
                        code_verifier=asked.code_verifier,
                    )
                )
            except OAuthError as error:
                raise refused("code refusé") from error

    def _check(self, id_token: str, access_token: str, nonce: str, now: datetime) -> dict[str, object]:
        with reached(self.provider):
            keys = self._key_set(now)
        try:
            try:
                token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
            except (BadSignatureError, InvalidKeyIdError):  # the provider may have new keys
                with reached(self.provider):
                    keys = self._key_set(now, again=True)
                token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
            options = {
                "iss": {"essential": True, "value": self.provider.issuer},
                "aud": {"essential": True, "value": self.provider.client_id},
            }
            params = {"nonce": nonce, "client_id": self.provider.client_id, "access_token": access_token}
            CodeIDToken(token.claims, token.header, options, params).validate(int(now.timestamp()), LEEWAY)
        except (JoseError, ValueError, TypeError) as error:
            raise refused("jeton d’identité invalide") from error
        return dict(token.claims)

    def _userinfo(self, facts: Facts, access_token: str, said: Mapping[str, object]) -> dict[str, object]:
        with reached(self.provider):
            told = self._get(facts.userinfo_endpoint, Authorization=f"Bearer {access_token}")
        if told.get("sub") != said.get("sub"):  # OpenID Connect Core 5.3.2
            raise refused("autre personne")
        return {name: told[name] for name in ("email", "email_verified") if name in told}


def read_claims(provider: OidcProvider, said: Mapping[str, object]) -> Claims:
    """The claims that matter here, each of the type that it must have."""
    subject, email = said.get("sub"), said.get("email")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or "\x00" in subject:
        raise refused("identité illisible")
    at, acr = said.get("auth_time"), said.get("acr")
    return Claims(
        issuer=provider.issuer,
        subject=subject,
        email=email.strip().lower() if isinstance(email, str) and email.isprintable() else "",
        is_email_verified=said.get("email_verified") is True,
        authenticated_at=at if isinstance(at, int) else None,
        second_factor=frozenset([*strings(said.get("amr")), *([acr] if isinstance(acr, str) else [])]),
    )


def as_object(value: object) -> Mapping[str, object]:
    """A JSON object; raise TypeError for anything else."""
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def read_keys(said: Mapping[str, object]) -> KeySet:
    """The keys of a JWKS (RFC 7517) that sign, and whose kind we know; raise ValueError when there is none."""
    listed = said.get("keys")
    keys = []
    for each in listed if isinstance(listed, list) else []:
        with suppress(JoseError, ValueError, TypeError):
            if as_object(each).get("use", "sig") == "sig":
                keys.append(import_key(each))
    if not keys:
        raise ValueError("no key")
    return KeySet(keys)


def text_of(said: Mapping[str, object], name: str) -> str:
    """A text that must be there; raise ValueError otherwise."""
    value = said.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(name)
    return value


def strings(value: object) -> tuple[str, ...]:
    """The texts of a JSON list; none of anything else."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


class Providers:
    """The providers of this installation, by their slug."""

    def __init__(self, providers: Iterable[OidcProvider]) -> None:
        self.clients = {provider.slug: ProviderClient(provider) for provider in providers}

    def get(self, slug: str) -> ProviderClient:
        """Raise NotFound for one that nobody set up."""
        client = self.clients.get(slug)
        if client is None:
            raise NotFound("oidc.unknown", "Ce service de connexion n’est pas proposé ici.")
        return client
