"""A real OpenID provider (idpyoidc, by OpenID's own implementers) in a process of its own, for tests.

Around it is only what an operator of one writes: its configuration, the HTTP in front of it, and whom it lets in, which
a test says by ``POST /control``. Run: ``python -m tests.oidc_provider PORT REDIRECT_URI``.
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from cryptojwt.key_jar import build_keyjar
from idpyoidc.server import Server
from idpyoidc.server.configure import OPConfiguration
from idpyoidc.server.exception import ClientAuthenticationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from fleet.embedded.ports import free_port

CLIENT, SECRET = "preau", "un-secret-partage-avec-le-fournisseur"
PASSWORD_ACR = "urn:oasis:names:tc:SAML:2.0:ac:classes:InternetProtocolPassword"
MFA_ACR = "https://refeds.org/profile/mfa"
OP = "idpyoidc.server"
KEYS = [{"type": "RSA", "key": "", "use": ["sig"]}, {"type": "EC", "crv": "P-256", "use": ["sig"]}]
PATIENCE = 30.0


def configuration(issuer: str) -> dict[str, Any]:
    """What idpyoidc is told."""
    return {
        "issuer": issuer,
        "key_conf": {"uri_path": "jwks", "key_defs": KEYS},
        "preference": {
            "subject_types_supported": ["public"],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "scopes_supported": ["openid", "email", "profile"],
        },
        "token_handler_args": {
            "jwks_def": {"private_path": "", "read_only": False, "key_defs": [secret_key("code")]},
            "code": {"lifetime": 600},
            "token": {"class": f"{OP}.token.jwt_token.JWTToken", "kwargs": {"lifetime": 3600}},
            "id_token": {"class": f"{OP}.token.id_token.IDToken", "kwargs": {}},
        },
        "endpoint": {
            "provider_config": endpoint(".well-known/openid-configuration", "provider_config.ProviderConfiguration"),
            "authorization": endpoint("authorization", "authorization.Authorization"),
            "token": endpoint(
                "token", "token.Token", client_authn_method=["client_secret_post", "client_secret_basic"]
            ),
            "userinfo": endpoint("userinfo", "userinfo.UserInfo"),
        },
        "authentication": {"password": method(PASSWORD_ACR), "mfa": method(MFA_ACR)},
        "userinfo": {"class": f"{OP}.user_info.UserInfo", "kwargs": {"db": {}}},
        "add_on": {
            "pkce": {
                "function": f"{OP}.oauth2.add_on.pkce.add_support",
                "kwargs": {"essential": True, "code_challenge_methods": {"S256": f"{OP}.oauth2.add_on.pkce.CC_METHOD"}},
            }
        },
        "session_params": {
            "encrypter": {
                "kwargs": {"keys": {"key_defs": [secret_key("password"), secret_key("salt")]}, "iterations": 1}
            }
        },
    }


def endpoint(path: str, name: str, **options: Any) -> dict[str, Any]:
    return {"path": path, "class": f"{OP}.oidc.{name}", "kwargs": options}


def method(acr: str) -> dict[str, Any]:
    """A way to sign in there that lets anyone in: see Provider.authorize."""
    return {"acr": acr, "class": f"{OP}.user_authn.user.NoAuthn", "kwargs": {"user": "anyone"}}


def secret_key(name: str) -> dict[str, Any]:
    return {"type": "OCT", "bytes": 24, "use": ["enc"], "kid": name}


class Provider:
    """The provider, and the person who sits in front of it."""

    def __init__(self, issuer: str, redirect_uri: str) -> None:
        config = OPConfiguration(conf=configuration(issuer), base_path=".")
        self.server = Server(config, cwd=".")
        self.context = self.server.context
        self.context.cdb[CLIENT] = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": [(redirect_uri, None)],
            "response_types_supported": ["code"],
            "allowed_scopes": ["openid", "email", "profile"],
            "id_token_signed_response_alg": "RS256",
        }
        self.server.keyjar.add_symmetric(CLIENT, SECRET)
        self.person, self.acr, self.ago = "nobody", PASSWORD_ACR, 0
        self.authorized: dict[str, list[str]] = {}
        self.is_down = False

    async def control(self, request: Request) -> Response:
        """Who signs in next, how, and with which keys; what the provider was asked for."""
        said = await request.json()
        if "person" in said:
            self.person, self.acr = said["person"], said.get("acr", PASSWORD_ACR)
            self.context.userinfo.db[self.person] = said.get("claims", {})
        self.ago = said.get("ago", self.ago)
        self.is_down = said.get("is_down", self.is_down)
        if said.get("rotate"):
            made = build_keyjar(KEYS).return_issuer("")
            for issuer in ("", self.server.issuer):
                self.server.keyjar.return_issuer(issuer).set(list(made))
        return JSONResponse({"asked": self.authorized})

    async def discover(self, _request: Request) -> Response:
        return self.unless_down(JSONResponse(as_dict(self.context.provider_info)))

    async def keys(self, _request: Request) -> Response:
        return JSONResponse(self.server.keyjar.export_jwks(issuer_id=""))

    async def authorize(self, request: Request) -> Response:
        """The person is let in at once, as whoever the test said."""
        endpoint = self.server.get_endpoint("authorization")
        self.authorized = {name: request.query_params.getlist(name) for name in request.query_params}
        asked = endpoint.parse_request(dict(request.query_params))
        if "error" in asked:
            return JSONResponse(as_dict(asked), 400)
        method = self.context.authn_broker.pick(self.acr)[0]["method"]
        at = int(time.time()) - self.ago
        session_id = endpoint.create_session(asked, self.person, self.acr, at, method)
        self.context.session_manager.get_authentication_event(session_id)["authn_time"] = at
        told = endpoint.do_response(request=asked, **endpoint.authz_part2(request=asked, session_id=session_id))
        return RedirectResponse(told["response"], 303)

    async def token(self, request: Request) -> Response:
        endpoint = self.server.get_endpoint("token")
        info = {"headers": {"authorization": request.headers.get("authorization", "")}}
        try:
            asked = endpoint.parse_request((await request.body()).decode(), http_info=info)
        except ClientAuthenticationError:
            return JSONResponse({"error": "invalid_client"}, 401)
        told = asked if "error" in asked else endpoint.process_request(request=asked)
        if "error" in told:
            return JSONResponse(as_dict(told), 400)
        return self.unless_down(JSONResponse(as_dict(told["response_args"])))

    async def userinfo(self, request: Request) -> Response:
        endpoint = self.server.get_endpoint("userinfo")
        info = {"headers": {"authorization": request.headers.get("authorization", "")}}
        asked = endpoint.parse_request({}, http_info=info)
        told = asked if "error" in asked else endpoint.process_request(request=asked)
        if "error" in told:
            return JSONResponse(as_dict(told), 401)
        return JSONResponse(as_dict(told["response_args"]))

    def unless_down(self, answer: Response) -> Response:
        return Response("en panne", 502) if self.is_down else answer

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/control", self.control, methods=["POST"]),
                Route("/.well-known/openid-configuration", self.discover),
                Route("/jwks", self.keys),
                Route("/authorization", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/userinfo", self.userinfo),
            ]
        )


def as_dict(message: Any) -> dict[str, Any]:
    """One of idpyoidc's messages as plain data."""
    found: dict[str, Any] = message if isinstance(message, dict) else message.to_dict()
    return found


@dataclass(frozen=True, slots=True)
class RunningProvider:
    """The same from the outside."""

    issuer: str
    process: "subprocess.Popen[bytes]"

    def control(self, **said: Any) -> dict[str, Any]:
        body = json.dumps(said).encode()
        request = urllib.request.Request(f"{self.issuer}/control", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def let_in(
        self, person: str, email: str | None = None, *, verified: object = True, acr: str = PASSWORD_ACR
    ) -> None:
        """Whoever comes next is this person."""
        claims = {} if email is None else {"email": email, "email_verified": verified}
        self.control(person=person, acr=acr, claims=claims, ago=0, is_down=False)


@contextmanager
def running_provider(redirect_uri: str, log: Path) -> Iterator[RunningProvider]:
    """Started, and ended with the block."""
    port = free_port()
    command = [sys.executable, "-m", "tests.oidc_provider", str(port), redirect_uri]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=output, stderr=subprocess.STDOUT)
    provider = RunningProvider(f"http://127.0.0.1:{port}", process)
    try:
        wait_until_answering(provider, log)
        yield provider
    finally:
        process.terminate()
        process.wait(20)


def wait_until_answering(provider: RunningProvider, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            provider.control()
        except (urllib.error.URLError, ConnectionError):
            if provider.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the provider did not start:\n{log.read_text()[-3000:]}") from None
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    port, redirect = sys.argv[1:]
    uvicorn.run(
        Provider(f"http://127.0.0.1:{port}", redirect).app(), host="127.0.0.1", port=int(port), log_level="warning"
    )
