"""dnsperf and kdig against a real filter process, over everything that it speaks."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.encrypted import EncryptedFilter
from tests.filter.scripted import ScriptedUpstream
from tests.requirements import needs

QUERIES = 2_000
NAMES = 40
WAYS = {
    "udp": ("udp",),
    "tcp": ("tcp",),
    "tls": ("dot",),
    "doh get": ("doh", "-O", "doh-method=GET"),
    "doh post": ("doh", "-O", "doh-method=POST"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedFilter]:
    folder: Path = tmp_path_factory.mktemp("load")
    bundle = compile_pair(LISTS, SCHOOL, folder / "ecole.preau", serial=7)
    with ScriptedUpstream() as upstream:
        for number in range(NAMES):
            upstream.add(f"n{number}.example. 300 IN A 93.184.216.34")
        options = ("--bundle", str(bundle), "--upstream", upstream.address)
        with EncryptedFilter(Authority.make(folder), *options) as running:
            yield running


@needs("dnsperf")
@pytest.mark.parametrize("edns", [(), ("-e",)], ids=["plain", "padded"])
@pytest.mark.parametrize("way", WAYS)
def test_dnsperf_loses_nothing(served: EncryptedFilter, tmp_path: Path, way: str, edns: tuple[str, ...]) -> None:
    """A third of the names is blocked, the others are cached but the first time. Padded, answers outgrow the client's
    windows; several of them in one TLS record would be lost on dnsperf."""
    names = [f"n{number % NAMES}.example" if number % 3 else f"n{number}.jeu.example" for number in range(QUERIES)]
    asked = tmp_path / "queries"
    asked.write_text("".join(f"{name} A\n" for name in names))
    mode, *options = WAYS[way]
    port = {"dot": served.tls, "doh": served.https}.get(mode, served.port)
    done = subprocess.run(
        ["dnsperf", "-m", mode, "-s", "127.0.0.1", "-p", str(port), "-d", str(asked), "-n", "1", "-l", "20", "-t", "8",
         "-c", "4", "-W", *options, *edns],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert re.search(rf"Queries completed: +{QUERIES} \(100\.00%\)", done.stdout), done.stdout
    assert re.search(r"Queries lost: +0 ", done.stdout)
    assert re.search(rf"NXDOMAIN {len(names[::3])} ", done.stdout), done.stdout


@needs("kdig")
@pytest.mark.parametrize("way", [(), ("+tcp",), ("+tls",), ("+https", "+nohttps-get"), ("+https", "+https-get")])
def test_kdig_hears_the_same_everywhere(served: EncryptedFilter, way: tuple[str, ...]) -> None:
    """What is encrypted is padded to a multiple of 468 bytes (RFC 8467, 4.1)."""
    port = {"+tls": served.tls, "+https": served.https}.get(way[0] if way else "", served.port)
    believed = (
        (f"+tls-ca={served.authority.certificate}", "+tls-hostname=dns.ecole.test") if port != served.port else ()
    )
    done = subprocess.run(
        ["kdig", f"@127.0.0.1#{port}", *way, *believed, "+edns", "+padding", "n1.example"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert "93.184.216.34" in done.stdout, done.stdout + done.stderr
    received = re.search(r"Received (\d+) B", done.stdout)
    assert received is not None
    assert (int(received[1]) % 468 == 0) is bool(believed)
