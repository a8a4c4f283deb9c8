"""The controller: create_app() puts config, database, routers, error handler and metrics together."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

from fleet import errors, exposition, health, metrics
from fleet.accounts.access import client_address
from fleet.accounts.oidc import Providers
from fleet.accounts.routes import router as accounts
from fleet.actors import ActorKind, Work, working
from fleet.audit.routes import router as audit
from fleet.checkins.routes import router as checkins
from fleet.collectivities.routes import router as collectivities
from fleet.config import FleetConfig
from fleet.configuration.routes import router as configuration
from fleet.db import connect
from fleet.devices.routes import router as devices
from fleet.enrollment.routes import router as enrollment
from fleet.ent.routes import router as ent
from fleet.filtering.routes import router as filtering
from fleet.grants.routes import router as grants
from fleet.imports.routes import router as imports
from fleet.jobs.routes import router as jobs
from fleet.log import request_id
from fleet.schools.routes import router as schools
from fleet.tickets.routes import router as tickets
from fleet.worker import make_celery

MAX_BODY = 8 * 1024 * 1024
"""Largest request body of any route, in bytes; devices' routes allow less (agent.protocol.MAX_BODY)."""


async def carry_request_id(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give every request an id that its log lines, its answer and the entries of what it changes carry."""
    identifier = secrets.token_hex(6)
    token = request_id.set(identifier)
    work = Work(ActorKind.VISITOR, address=client_address(request), request_id=identifier, scope=request.scope)
    try:
        with working(work):
            response = await call_next(request)
        response.headers["X-Request-Id"] = identifier
        return response
    finally:
        request_id.reset(token)


def create_app(config: FleetConfig) -> FastAPI:
    """The HTTP application of one controller process. Routers read the settings from ``request.app.state.config``."""
    config.check_serving()
    engine = connect(config.database_url)
    make_celery(config)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()

    app = FastAPI(
        title="Préau",
        lifespan=lifespan,
        max_body_size=MAX_BODY,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # both load scripts from elsewhere
        redoc_url=None,
    )
    app.state.config = config
    app.state.oidc = Providers(config.oidc_providers)
    app.state.fleet_gauges = exposition.KeptReading()
    app.middleware("http")(carry_request_id)
    app.add_middleware(metrics.TimeAnswers)
    errors.install(app)
    for router in (
        accounts, audit, collectivities, schools, grants, ent, devices, filtering, configuration, enrollment, checkins,
        tickets, jobs, imports,
    ):  # fmt: skip
        app.include_router(router)
    app.include_router(health.router)
    app.include_router(exposition.router)
    return app
