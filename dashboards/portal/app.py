"""The portal: the controller's application plus the pages that people open."""

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from dashboards.portal import error_pages
from dashboards.portal.accounts import router as accounts
from dashboards.portal.audit import router as audit
from dashboards.portal.board import router as board
from dashboards.portal.collectivities import router as collectivities
from dashboards.portal.devices import router as devices
from dashboards.portal.enroll import router as enroll
from dashboards.portal.enrollment import router as enrollment
from dashboards.portal.filtering import router as filtering
from dashboards.portal.grants import router as grants
from dashboards.portal.imports import router as imports
from dashboards.portal.jobs import router as jobs
from dashboards.portal.lessons import router as lessons
from dashboards.portal.links import router as links
from dashboards.portal.my_account import router as my_account
from dashboards.portal.my_tokens import router as my_tokens
from dashboards.portal.overrides import router as overrides
from dashboards.portal.rendering import HERE
from dashboards.portal.rooms import router as rooms
from dashboards.portal.saved_filters import router as saved_filters
from dashboards.portal.schools import router as schools
from dashboards.portal.search import router as search
from dashboards.portal.second_factor import router as second_factor
from dashboards.portal.security import SecurityHeaders
from dashboards.portal.sign_in import router as sign_in
from dashboards.portal.sign_in_oidc import router as sign_in_oidc
from dashboards.portal.tickets import router as tickets
from dashboards.portal.unblocking import router as unblocking
from fleet.app import create_app
from fleet.config import FleetConfig
from fleet.environment import read_environment

PAGES = (
    sign_in, board, schools, devices, enrollment, enroll, tickets, collectivities, grants,
    filtering, lessons, rooms, overrides, unblocking, audit, sign_in_oidc, links, my_account, second_factor, my_tokens,
    accounts, jobs, search, saved_filters, imports,
)  # fmt: skip


class Assets(StaticFiles):
    """Static files; those asked by the address that holds their digest never change."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        is_pinned = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_pinned else "no-cache"
        return response


def create_portal(config: FleetConfig | None = None) -> FastAPI:
    """Everything one controller process serves; without ``config``, it is read from the environment."""
    app = create_app(config or FleetConfig.from_environ(read_environment()))
    app.add_middleware(SecurityHeaders)
    error_pages.install(app)
    for page in PAGES:
        app.include_router(page, include_in_schema=False)
    app.mount("/static", Assets(directory=HERE / "static"), name="static")
    return app
