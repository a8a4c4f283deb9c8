"""Names and policy from a controller over real HTTPS: fetched, resumed, verified, swapped; the last good stays."""

import hashlib
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import dns.rcode
import pytest
from dns.message import Message

from filter.bundle import NamesFile
from filter.layout.delta import make_delta
from filter.layout.writer import write_policy
from filter.signing import SigningKey
from tests.filter.bundles import KEY
from tests.filter.conftest import NOON, SCHOOL, compile_pair, make_list, policy_of
from tests.filter.controller import DELTA, NAMES, POLICY, Served, SmallController
from tests.filter.publishing import Publisher, blocking, filter_options, installed, refused, wait_for_line
from tests.filter.running import RunningFilter, errors_of, records_of
from tests.filter.scripted import ScriptedUpstream, answer, free_port, pack
from tests.requirements import find, needs

JOURNAL = ["journal.example. 60 IN CNAME hier.example.", "hier.example. 60 IN A 93.184.216.34"]
MANY = [f"n{number}.example" for number in range(20_000)]


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        scripted.records["journal.example", "A"] = JOURNAL
        scripted.add("neuf.example. 60 IN A 93.184.216.34")
        yield scripted


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[SmallController]:
    with SmallController(tmp_path) as small:
        yield small


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture
def options(tmp_path: Path, controller: SmallController, upstream: ScriptedUpstream) -> list[str]:
    return filter_options(tmp_path, controller, upstream.address)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The filter's folder, before it starts."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def is_blocked(running: RunningFilter, name: str) -> bool:
    return running.ask(name).rcode() == dns.rcode.NXDOMAIN


def test_nothing_is_answered_until_both_files_came(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    with RunningFilter(*options) as running:
        controller.wait_for(404, POLICY)
        reply = running.ask("journal.example")
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert errors_of(reply) == [(14, "le filtre attend ses listes")]

        controller.publish_policy(publisher.policy(3))
        controller.wait_for(200, POLICY)
        assert running.ask("journal.example").rcode() == dns.rcode.SERVFAIL

        controller.publish_names(publisher.names(8, jeux=["neuf.example"]))
        installed(running, 8, 3)

        assert is_blocked(running, "neuf.example")
        assert records_of(running.ask("journal.example"))
        assert len(controller.answered(NAMES, 200)) == len(controller.answered(POLICY, 200)) == 1


def test_a_policy_is_in_force_while_its_question_is_held(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    """The filter's one open question is answered by the change; the names are not fetched again."""
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert is_blocked(running, "neuf.example")

        controller.publish_policy(publisher.policy(9, blocking("adultes")))
        installed(running, 8, 9)

        assert records_of(running.ask("neuf.example"))
        assert len(controller.answered(NAMES)) == 1
        assert [each.status for each in controller.answered(POLICY)] == [200, 200]


def test_a_controller_that_holds_nothing_is_asked_at_intervals(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.holds = False
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.wait_for(304, POLICY, times=3)
        controller.publish_policy(publisher.policy(9, blocking()))
        installed(running, 8, 9)


def test_new_names_apply_to_answers_already_kept(
    options: list[str], controller: SmallController, upstream: ScriptedUpstream, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert records_of(running.ask("journal.example")) == ["CNAME hier.example.", "A 93.184.216.34"]

        controller.publish_names(publisher.names(9, jeux=["hier.example"]))
        installed(running, 9, 8)

        assert errors_of(running.ask("journal.example")) == [(17, "catégorie : Liste jeux (par un autre nom)")]
        assert records_of(running.ask("neuf.example"))
        assert upstream.asked_for("journal.example") == [("udp", "A")]


def test_a_delta_is_taken_instead_of_the_whole(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    old = publisher.pair(8, jeux=MANY)
    controller.publish(old)
    with RunningFilter(*options) as running:
        installed(running, 8)
        new = publisher.names(9, jeux=[*MANY, "journal.example"])
        offer_delta(controller, old, new)
        controller.publish_names(new)
        installed(running, 9, 8)

        assert is_blocked(running, "journal.example")
        assert is_blocked(running, "n19999.example")
    assert len(controller.answered(NAMES)) == 1
    assert controller.answered(DELTA, 200)[0].sent < new.stat().st_size / 3


def offer_delta(controller: SmallController, old: Path, new: Path, content: bytes | None = None) -> None:
    """What leads from one file to the other, or something else that claims to."""
    before, after = NamesFile.open(old).etag, NamesFile.open(new).etag
    controller.deltas[before] = Served(make_delta(old, new) if content is None else content, after)


@pytest.mark.parametrize("lie", ["garbage", "cut", "other file", "wrong signature", "older"])
def test_a_delta_that_lies_costs_one_whole_transfer(
    options: list[str], controller: SmallController, publisher: Publisher, lie: str
) -> None:
    old, new = publisher.pair(8, jeux=MANY), publisher.names(10, jeux=[*MANY, "journal.example"])
    controller.publish(old)
    with RunningFilter(*options) as running:
        installed(running, 8)
        offer_delta(controller, old, new, spoil_delta(publisher, old, new, lie))
        controller.publish_names(new)
        installed(running, 10, 8)
        assert is_blocked(running, "journal.example")
        assert running.logged("delta not used, the whole file is fetched")
    assert len(controller.answered(DELTA, 200)) == 1
    assert len(controller.answered(NAMES, 200)) == 2


def spoil_delta(publisher: Publisher, old: Path, new: Path, lie: str) -> bytes:
    right = make_delta(old, new)
    match lie:
        case "garbage":
            return b"\0" * 1000
        case "cut":
            return right[: len(right) // 2]
        case "other file":
            return make_delta(old, publisher.names(9, jeux=[*MANY, "autre.example"]))
        case "older":
            return make_delta(old, publisher.names(7, jeux=[*MANY, "autre.example"]))
        case _:
            stranger = publisher.folder / "stranger"
            compile_pair([make_list("jeux", *MANY)], SCHOOL, stranger, serial=10, sign=SigningKey.generate().sign)
            return make_delta(old, stranger)


def test_without_a_delta_the_whole_file_comes(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.publish_names(publisher.names(9, jeux=["journal.example"]))
        installed(running, 9, 8)
        assert controller.answered(DELTA, 404)
        assert is_blocked(running, "journal.example")


def test_a_cut_download_is_resumed(options: list[str], controller: SmallController, publisher: Publisher) -> None:
    path = publisher.pair(8, jeux=MANY)
    controller.publish(path)
    controller.cut_after = 100_000
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert is_blocked(running, "n19999.example")
    (resumed,) = controller.answered(NAMES, 206)
    assert 0 < resumed.first <= 100_000
    assert resumed.first + resumed.sent == path.stat().st_size


def test_a_cut_download_of_other_names_starts_over(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path
) -> None:
    (data / "names.part").write_bytes(b"x" * 50)
    (data / "names.part.etag").write_text(f"{'0' * 64}.7")
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert is_blocked(running, "neuf.example")


def test_a_part_that_was_altered_meanwhile_is_thrown_away(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    assert controller.names
    (data / "names.part").write_bytes(b"x" * 50)
    (data / "names.part.etag").write_text(controller.names.etag)
    with RunningFilter(*options) as running:
        refused(running, "names", "foreign")
        installed(running, 8)  # asked for once more, from the start
        assert is_blocked(running, "neuf.example")
    assert not list(data.glob("names.part*"))


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


def kept(folder: Path) -> list[str]:
    """The filter's files, but for its counts."""
    return sorted(path.name for path in (folder / "data").iterdir() if not path.name.startswith("name-counts"))


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


def test_killed_and_started_again_without_a_controller_the_last_good_pair_serves(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        running.process.send_signal(signal.SIGKILL)
        running.wait_for("the process is gone")
    controller.stop()

    with RunningFilter(*options) as again:
        assert again.wait_for("filter answers")["serial"] == 8
        refused(again, "policy", "unreachable")
        assert is_blocked(again, "neuf.example")
        assert records_of(again.ask("journal.example"))


def test_killed_in_the_midst_of_a_download_it_goes_on_from_there(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path
) -> None:
    """One file new, the other old, a third cut: whatever a crash leaves is a pair that serves."""
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.publish_policy(publisher.policy(9, blocking("jeux")))
        installed(running, 8, 9)
        running.process.send_signal(signal.SIGKILL)
        running.wait_for("the process is gone")
    new = publisher.names(10, jeux=[*MANY, "journal.example"])
    controller.publish_names(new)
    assert controller.names
    (data / "names.part").write_bytes(new.read_bytes()[:100_000])
    (data / "names.part.etag").write_text(controller.names.etag)
    (data / "names.made").write_bytes(b"half")
    (data / "policy.part").write_bytes(b"half")

    with RunningFilter(*options) as again:
        started = again.wait_for("filter answers")
        assert (started["serial"], started["policy_serial"]) == (8, 9)
        installed(again, 10, 9)
        assert is_blocked(again, "journal.example")
    assert [each.first for each in controller.answered(NAMES, 206)] == [100_000]
    assert kept(data.parent) == ["names", "policy"]


@pytest.mark.parametrize("file", ["names", "policy"])
def test_a_file_spoilt_on_disk_is_not_served(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path, file: str
) -> None:
    pair = publisher.pair(8, jeux=["neuf.example"])
    (data / "names").write_bytes(pair.read_bytes())
    (data / "policy").write_bytes(policy_of(pair).read_bytes())
    (data / file).write_bytes((data / file).read_bytes()[:-5])
    with RunningFilter(*options) as running:
        wait_for_line(running, "a kept file cannot be used", file=file)
        assert running.ask("journal.example").rcode() == dns.rcode.SERVFAIL
        controller.publish(publisher.pair(9, jeux=["neuf.example"]))
        installed(running, 9)


def test_a_refused_credential_is_said(options: list[str], controller: SmallController, publisher: Publisher) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    controller.refuses = True
    with RunningFilter(*options) as running:
        refused(running, "policy", "credential")
        assert "secret" not in str(running.lines)


def test_a_controller_with_another_certificate_is_not_believed(
    options: list[str], controller: SmallController, publisher: Publisher, tmp_path: Path
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    (tmp_path / "other").mkdir()
    with SmallController(tmp_path / "other") as other:
        stranger = [str(other.ca_file) if option == str(controller.ca_file) else option for option in options]
        with RunningFilter(*stranger) as running:
            refused(running, "policy", "unreachable")
            assert controller.requests == []


def counts_of(report: dict[str, object]) -> list[tuple[str, str, str, int]]:
    """(hour, action, category, queries) that a report tells."""
    assert isinstance(report["counts"], list)
    return [(each["hour"], each["action"], each["category"], each["queries"]) for each in report["counts"]]


def test_reports_are_totals_that_name_nobody(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        for _ in range(3):
            assert is_blocked(running, "www.neuf.example")
        running.ask("journal.example")
        controller.forget()
        controller.wait_for(204, "/filter/v1/reports", times=2)
    last, before = controller.reports[-1], controller.reports[-2]
    assert controller.names
    assert controller.policy

    assert last["run"] == before["run"]
    assert (last["bundle_serial"], last["policy_serial"]) == (8, 8)
    assert f"{last['bundle_digest']}.8" == controller.names.etag
    assert f"{last['policy_digest']}.8" == controller.policy.etag
    told = {(hour, *rest): queries for report in controller.reports for hour, *rest, queries in counts_of(report)}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00\+00:00", hour) for hour, *_ in told)
    totals: Counter[tuple[str, ...]] = Counter()
    for (_, *rest), queries in told.items():
        totals[tuple(rest)] += queries
    assert totals == {("blocked", "jeux"): 3, ("allowed", ""): 1}
    assert "neuf" not in str(controller.reports)
    assert "neuf" not in str(running.lines)


def echo(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [pack(answer(query, "charge.example. 1 IN A 93.184.216.34"))]


@needs("dnsperf")
def test_swaps_under_load_lose_and_unfilter_no_query(
    options: list[str], controller: SmallController, upstream: ScriptedUpstream, publisher: Publisher, tmp_path: Path
) -> None:
    """Blocked and allowed names at a steady pace while names (by delta and whole) and policies come and go."""
    upstream.scripts["charge.example"] = echo
    bulk = [f"n{number}.example" for number in range(100_000)]
    versions = [publisher.names(serial, jeux=[*bulk, "neuf.example", f"v{serial}.example"]) for serial in range(8, 14)]
    policies = [publisher.policy(serial, blocking("jeux", f"autre{serial}")) for serial in range(8, 14)]
    for old, new in ((versions[1], versions[2]), (versions[3], versions[4])):
        offer_delta(controller, old, new)
    controller.publish_names(versions[0])
    controller.publish_policy(policies[0])
    (tmp_path / "queries").write_text("neuf.example A\ncharge.example A\nwww.neuf.example HTTPS\nn5.example AAAA\n")
    dnsperf = find("dnsperf")
    assert dnsperf
    with RunningFilter(*options) as running:
        installed(running, 8)
        load = subprocess.Popen(
            [dnsperf, "-s", "127.0.0.1", "-p", str(running.port), "-d", str(tmp_path / "queries"), "-Q400", "-l8"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with load:
            for serial, names, policy in zip(range(9, 14), versions[1:], policies[1:], strict=True):
                controller.publish_names(names)
                installed(running, serial, serial - 1)
                controller.publish_policy(policy)
                installed(running, serial)
            assert load.poll() is None, "the load ended before the last swap"
            told, _ = load.communicate(timeout=30)
    sent = re.search(r"Queries sent:\s+(\d+)", told)
    codes = re.search(r"Response codes:\s+(.*)", told)
    assert sent
    assert codes
    assert re.search(r"Queries lost:\s+0 ", told), told
    shares = {name: int(count) for name, count in re.findall(r"(\w+) (\d+) \(", codes[1])}
    assert int(sent[1]) > 1_000
    assert set(shares) == {"NOERROR", "NXDOMAIN"}
    assert abs(shares["NXDOMAIN"] - 3 * shares["NOERROR"]) <= 3, "a query was answered unfiltered, or not at all"
    assert len(controller.answered(DELTA, 200)) == 2


def test_a_port_that_is_taken_is_said_by_name(options: list[str]) -> None:
    taken = free_port()
    with RunningFilter(*options, port=taken):
        second = RunningFilter(*options, port=taken)
        with pytest.raises(AssertionError):
            second.__enter__()
        second.__exit__(None, None, None)
    said = str(second.lines)
    assert f"127.0.0.1:{taken} est déjà pris" in said
    assert second.process.returncode == 1
    assert "Traceback" not in said


def test_a_disk_that_fails_does_not_end_the_conversation(
    options: list[str], controller: SmallController, publisher: Publisher, tmp_path: Path
) -> None:
    """The data folder is taken away: that ends nothing, and when it is back files come again."""
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        (tmp_path / "data").rename(tmp_path / "away")
        controller.publish(publisher.pair(9, jeux=["journal.example"]))
        refused(running, "policy", "disk")
        refused(running, "names", "disk")
        assert is_blocked(running, "neuf.example")
        (tmp_path / "away").rename(tmp_path / "data")
        installed(running, 9)
        assert is_blocked(running, "journal.example")
