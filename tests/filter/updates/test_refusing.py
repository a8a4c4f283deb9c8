"""Files that are not right are refused whole; the last good ones serve on."""

import hashlib
from pathlib import Path

import pytest

from filter.layout.writer import write_policy
from filter.signing import SigningKey
from tests.filter.bundles import KEY
from tests.filter.conftest import NOON, SCHOOL, compile_pair, make_list, policy_of
from tests.filter.controller import NAMES, Served, SmallController
from tests.filter.publishing import Publisher, blocking, installed, refused
from tests.filter.running import RunningFilter, records_of
from tests.filter.updates.served import is_blocked, kept


@pytest.mark.parametrize(
    ("lie", "outcome"),
    [
        ("etag", "wrong_digest"),
        ("altered", "altered"),
        ("older", "older_serial"),
        ("same serial", "older_serial"),
        ("older, said to be newer", "wrong_digest"),
        ("foreign", "foreign"),
        ("unsigned", "unsigned"),
        ("signed by a stranger", "foreign_signature"),
        ("signature altered", "foreign_signature"),
        ("a policy", "wrong_kind"),
        ("truncated", "truncated"),
    ],
)
def test_names_that_are_not_right_are_refused_and_the_last_good_serve_on(
    options: list[str], controller: SmallController, publisher: Publisher, tmp_path: Path, lie: str, outcome: str
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.offer(names=spoil_names(publisher, lie))
        refused(running, "names", outcome)

        assert is_blocked(running, "neuf.example")
        assert records_of(running.ask("journal.example"))
        controller.forget()
        controller.wait_for(204, "/filter/v1/reports", times=2)
        health = controller.reports[-1]["health"]
        assert isinstance(health, dict)
        assert health["refused"]["names"]["reason"] == outcome
        assert not controller.answered(NAMES), "what was refused is not fetched again"

        controller.publish_names(publisher.names(12, jeux=["journal.example"]))
        installed(running, 12, 8)
        assert is_blocked(running, "journal.example")
    assert kept(tmp_path) == ["names", "policy"]


def spoil_names(publisher: Publisher, lie: str) -> Served:
    """Names that must be refused, under an ETag that hides it where it can."""
    newer = publisher.names(11, jeux=["journal.example"]).read_bytes()
    etag = f"{newer[72:104].hex()}.11"
    match lie:
        case "etag":
            return Served(newer, f"{'ab' * 32}.11")
        case "altered":
            return Served(newer[:-1] + bytes([newer[-1] ^ 1]), etag)
        case "older" | "same serial" | "older, said to be newer":
            content = publisher.names(8 if lie == "same serial" else 7, jeux=["journal.example"]).read_bytes()
            return Served(content, f"{content[72:104].hex()}.{content[16] if lie != 'older, said to be newer' else 13}")
        case "unsigned":
            return Served(publisher.names(11, signed=False, jeux=["journal.example"]).read_bytes(), etag)
        case "signed by a stranger":
            stranger = publisher.folder / "stranger"
            compile_pair([make_list("jeux")], SCHOOL, stranger, serial=11, sign=SigningKey.generate().sign)
            return Served(stranger.read_bytes(), etag)
        case "signature altered":
            return Served(reseal(newer[:120] + bytes([newer[120] ^ 1]) + newer[121:]), etag)
        case "a policy":
            return Served(publisher.policy(11).read_bytes(), etag)
        case "truncated":
            return Served(newer[:-5], etag)
        case _:
            return Served(b"<html>portail captif</html>", etag)


def reseal(data: bytes) -> bytes:
    """The check of the header made anew: only the signature is wrong."""
    return data[:176] + hashlib.sha256(data[:176]).digest()[:16] + data[192:]


@pytest.mark.parametrize(
    ("lie", "outcome"),
    [
        ("etag", "wrong_digest"),
        ("older", "older_serial"),
        ("foreign", "foreign"),
        ("signed by a stranger", "foreign_signature"),
        ("names", "wrong_kind"),
        ("unusable", "invalid"),
    ],
)
def test_a_policy_that_is_not_right_is_refused_and_the_last_good_serves_on(
    options: list[str], controller: SmallController, publisher: Publisher, tmp_path: Path, lie: str, outcome: str
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.offer(policy=spoil_policy(publisher, lie))
        refused(running, "policy", outcome)
        assert is_blocked(running, "neuf.example")

        controller.publish_policy(publisher.policy(12, blocking()))
        installed(running, 8, 12)
        assert records_of(running.ask("neuf.example"))
    assert len(running.logged("policy failed")) == 1, "what was refused does not come again and again"
    assert kept(tmp_path) == ["names", "policy"]


def spoil_policy(publisher: Publisher, lie: str) -> Served:
    match lie:
        case "etag":
            return Served(publisher.policy(11, blocking()).read_bytes(), f"{'ab' * 32}.11")
        case "older":
            older = publisher.policy(7, blocking()).read_bytes()
            return Served(older, f"{older[72:104].hex()}.7")
        case "signed by a stranger":
            stranger = publisher.folder / "stranger"
            compile_pair([], SCHOOL, stranger, serial=11, sign=SigningKey.generate().sign)
            content = policy_of(stranger).read_bytes()
            return Served(content, f"{content[72:104].hex()}.11")
        case "names":
            names = publisher.names(11, jeux=["journal.example"]).read_bytes()
            return Served(names, f"{names[72:104].hex()}.11")
        case "unusable":
            path = publisher.folder / "unusable"
            write_policy(
                path,
                serial=11,
                compiled_at=NOON,
                settings=b'{"profiles":[],"default_profile":"absent"}',
                names_digest="",
                compiler="essai",
                sign=KEY.sign,
            )
            content = path.read_bytes()
            return Served(content, f"{content[72:104].hex()}.11")
        case _:
            return Served(b"<html>portail captif</html>", f"{'ab' * 32}.11")
