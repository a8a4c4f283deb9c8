"""The site that the tests of the roles share: built once, applied as an operator would, then applied again."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible import site as sites
from tests.ansible.site import CONTROLLER, ELSEWHERE, INTERNET, PROJECT, PUBLIC_RESOLVER, Applied, Site
from tests.ansible.units import Unit
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


@pytest.fixture(scope="session")
def controller(bare_site: Site) -> tuple[Site, Applied]:
    """The site with its controller installed and its units' programs running."""
    applied = bare_site.apply("controller.yml")
    for name in ("preau-controller", "preau-worker", "preau-beat"):
        command = Unit.read(bare_site.controller, name).command(bare_site.controller)
        bare_site.controller.start_program(command, bare_site.log(name))
    bare_site.wait_for_log("preau-controller", "Application startup complete")
    return bare_site, applied


@pytest.fixture
def controller_url() -> str:
    return f"https://{CONTROLLER}"
