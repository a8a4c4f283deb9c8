"""The site that the tests of the roles share: built once, applied as an operator would, then applied again."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ansible import site as sites
from tests.ansible.site import ELSEWHERE, INTERNET, PROJECT, PUBLIC_RESOLVER, Applied, Site
from tests.certificates import Authority
from tests.conftest import state_directory


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Site]:
    """Machines with nothing of ours yet, and the resolver out there."""
    directory = tmp_path_factory.mktemp("site")
    cache = pytestconfig.cache
    assert cache is not None
    wheelhouse = sites.build_wheelhouse(PROJECT / "ansible/locks/controller.lock", cache.mkdir("wheelhouses"))
    wheel = sites.build_wheel(directory)
    state = state_directory("site-")
    with sites.make_site(directory, sites.describe(Authority.make(directory), wheel, wheelhouse)) as site:
        sites.start_services(site, state)
        script = Path(sites.__file__).parent / "upstream.py"
        site.internet.start(sys.executable, script, INTERNET, PUBLIC_RESOLVER, ELSEWHERE, log=site.log("upstream"))
        site.wait_for_log("upstream", "ready")
        yield site
    shutil.rmtree(state)


@dataclass(frozen=True, slots=True)
class Installed:
    """A site with a role applied, and what applying it did."""

    site: Site
    applied: Applied


@pytest.fixture(scope="session")
def with_controller(bare_site: Site) -> Installed:
    """The controller installed, and its units' programs running."""
    applied = bare_site.apply("controller.yml")
    for name in ("preau-controller", "preau-worker", "preau-beat"):
        bare_site.start_unit(bare_site.controller, name)
    bare_site.wait_for_log("preau-controller", "Application startup complete")
    return Installed(bare_site, applied)


@dataclass(frozen=True, slots=True)
class WithGateway(Installed):
    """The same with the gateway, and what the tablet reached before."""

    before: dict[str, str]


@pytest.fixture(scope="session")
def with_gateway(with_controller: Installed) -> WithGateway:
    """A filter registered and a bundle published on the controller, then the gateway installed and its unit running."""
    site = with_controller.site
    before = site.reachable()
    site.preau("filter", "publish")
    told = site.preau("filter", "register", "passerelle").splitlines()
    credential = next(line for line in told if "." in line and " " not in line)
    site.variables["gateway_credential"] = "\n".join([credential, *(t for t in told if t.startswith("ed25519 "))])
    applied = site.apply("gateway.yml")
    site.start_unit(site.gateway, "preau-filter")
    site.wait_for_filter()
    return WithGateway(site, applied, before)


@pytest.fixture(scope="session")
def again(with_gateway: WithGateway) -> Applied:
    """What the second application of everything did."""
    return with_gateway.site.apply("site.yml")
