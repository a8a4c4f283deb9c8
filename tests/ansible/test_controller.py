"""The role "controller", applied to a throw-away machine over SSH; then its units' own commands."""

import json

import pytest

from tests.ansible.site import Applied, Site
from tests.requirements import needs

pytestmark = [
    needs("sshd", "nft", "ip", root=True),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("site"),
]
Controller = tuple[Site, Applied]


def ask(site: Site, path: str, *options: str) -> str:
    """What the controller answers to somebody out there who trusts its CA."""
    ca = str(site.variables["preau_ca"])
    return site.internet.run("curl", "-sS", "--cacert", ca, *options, f"https://10.231.0.10{path}")


def test_the_controller_answers_over_tls_on_443(controller: Controller) -> None:
    site, _ = controller
    assert json.loads(ask(site, "/health/ready")) == {"status": "ok"}
