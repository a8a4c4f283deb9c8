"""What the routes of accounts are for: signing in, one's own account, and those of others for administrators."""

from collections.abc import Mapping

from tests.rights.calling import Call, Who, public, seen, sent, staff

PASSWORD = "quatre mots sans rapport"
ACCOUNT = "/accounts/{account_id}"
SESSION, TOKEN = "{session_id}", "{api_token_id}"
"""Of somebody of the node: nobody else's business, however much of the node they see."""
END = "2026-12-20T10:00:00+00:00"


def managed(*calls: Call) -> tuple[Call, ...]:
    """What administrators do to an account of the node."""
    return tuple(Call(Who.STAFF, call.query, call.body, call.path) for call in calls)


ACCOUNTS: Mapping[str, tuple[Call, ...]] = {
    # Ways in
    "GET /sign-in": public(),
    "POST /sign-in": public(email="x@example.test", password="x"),
    "GET /sign-in/code": public(),
    "POST /sign-in/code": public(code="000000"),
    "GET /sign-in/oidc/{slug}": (Call(Who.PUBLIC, path="/sign-in/oidc/essai"),),
    "GET /sign-in/oidc/{slug}/callback": (Call(Who.PUBLIC, path="/sign-in/oidc/essai/callback", query="code=x"),),
    "GET /invitation": public(),
    "POST /invitation": public(secret="x"),
    "POST /invitation/password": public(secret="x", password=PASSWORD),
    "GET /reset": public(),
    "POST /reset": public(email="x@example.test"),
    "GET /reset/new": public(),
    "POST /reset/new": public(secret="x"),
    "POST /reset/new/password": public(secret="x", password=PASSWORD),
    "POST /api/v1/accounts/sign-in": public(email="x@example.test", password="x"),
    # One's own account
    "GET /api/v1/accounts/me": seen(),
    "POST /api/v1/accounts/sign-out": sent(),
    "POST /sign-out": sent(),
    "POST /api/v1/accounts/confirm": sent(secret="x"),
    "GET /api/v1/accounts/sessions": seen(),
    "DELETE /api/v1/accounts/sessions/{session_id}": seen(),
    "GET /api/v1/accounts/tokens": seen(),
    "POST /api/v1/accounts/tokens": (
        Call(body={"name": "essai", "role": "officer", "collectivity_id": "{collectivity}", "expires_at": END}),
        Call(body={"name": "essai", "role": "school_lead", "school_id": "{school}", "expires_at": END}),
    ),
    "DELETE /api/v1/accounts/tokens/{token_id}": (Call(path=f"/api/v1/accounts/tokens/{TOKEN}"),),
    "GET /account": seen(),
    "POST /account/password": sent(current="x", password=PASSWORD),
    "POST /account/sessions/{session_id}/end": sent(),
    "POST /account/sessions/end": sent(),
    "GET /account/confirm": seen(),
    "POST /account/confirm": sent(secret="x"),
    "GET /account/second-factor": seen(),
    "POST /account/second-factor/start": sent(),
    "POST /account/second-factor/on": sent(code="000000"),
    "POST /account/second-factor/recovery-codes": sent(),
    "POST /account/second-factor/off": sent(),
    "GET /account/tokens": seen(),
    "POST /account/tokens": sent(name="essai", right="0", days="30"),
    "POST /account/tokens/{token_id}/revoke": (Call(path=f"/account/tokens/{TOKEN}/revoke", body={}),),
    # Others' accounts
    "GET /accounts": staff("q=zz"),
    "GET /accounts/new": (
        *staff(),
        Call(Who.STAFF, "q=zz"),
        Call(Who.STAFF, "collectivity={collectivity}"),
        Call(Who.STAFF, "school={school}"),
    ),
    "POST /accounts/new": staff(email="x@example.test", name="x", role="officer", collectivity="{collectivity}"),
    "GET /accounts/{user_id}": managed(Call(path=ACCOUNT)),
    "GET /accounts/{user_id}/roles": managed(Call(path=f"{ACCOUNT}/roles")),
    "POST /accounts/{user_id}/roles": managed(
        Call(path=f"{ACCOUNT}/roles", body={"role": "technician", "collectivity": "{collectivity}"})
    ),
    "POST /accounts/{user_id}/roles/{grant_id}/take": managed(
        Call(path=f"{ACCOUNT}/roles/{{role_grant_id}}/take", body={})
    ),
    "POST /accounts/{user_id}/invite": managed(Call(path=f"{ACCOUNT}/invite", body={})),
    "POST /accounts/{user_id}/withdraw": managed(Call(path=f"{ACCOUNT}/withdraw", body={})),
    "POST /accounts/{user_id}/close": managed(Call(path=f"{ACCOUNT}/close", body={})),
    "POST /accounts/{user_id}/reopen": managed(Call(path=f"{ACCOUNT}/reopen", body={})),
    "POST /accounts/{user_id}/second-factor/reset": managed(Call(path=f"{ACCOUNT}/second-factor/reset", body={})),
    "POST /accounts/{user_id}/sessions/end": managed(Call(path=f"{ACCOUNT}/sessions/end", body={})),
}
