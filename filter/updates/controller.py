"""What every talk with the controller shares: the client, and one way to fail."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from filter.bundle import BundleRefused
from filter.config import Controller

REFUSED = (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN)


class TalkFailed(Exception):
    """The controller could not be asked, or what it sent is not used. ``outcome`` is stable: a metric's label."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome


def make_client(controller: Controller) -> httpx2.AsyncClient:
    """A client of the controller, its certificate verified by the CA given, or by the system's."""
    return httpx2.AsyncClient(
        base_url=controller.url,
        headers={"Authorization": f"Bearer {controller.credential}", "Accept-Encoding": "identity"},
        verify=ssl.create_default_context(cafile=controller.ca_file),
        timeout=make_timeout(),
        trust_env=False,
    )


def make_timeout(held: float = 0.0) -> httpx2.Timeout:
    """Seconds until a line counts as dead; ``held`` more for an answer that the controller may keep back so long."""
    return httpx2.Timeout(10.0, connect=5.0, read=held + 10.0)


def unreachable(error: httpx2.HTTPError) -> TalkFailed:
    """The failure that an error of the network is."""
    return TalkFailed("unreachable", f"{type(error).__name__}: {error}")


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Whatever goes wrong in a talk, as TalkFailed with a stable outcome."""
    try:
        yield
    except httpx2.HTTPError as error:
        raise unreachable(error) from error
    except BundleRefused as error:
        raise TalkFailed(error.reason, str(error)) from error
    except OSError as error:
        raise TalkFailed("disk", str(error)) from error


def check_status(response: httpx2.Response, *expected: int) -> None:
    """Raise TalkFailed for a refused credential, and for any status that is not expected."""
    if response.status_code in REFUSED:
        raise TalkFailed("credential", f"the controller refuses this filter's credential ({response.status_code})")
    if response.status_code not in expected:
        raise TalkFailed("controller", f"the controller answered {response.status_code}")
