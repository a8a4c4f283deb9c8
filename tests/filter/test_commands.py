"""`preau-filter` as a person types it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import dns.message
import dns.query
import pytest

from filter.plane.choosing import is_compiled
from tests.filter.conftest import policy_of, write_ut1
from tests.filter.running import ROOT, RunningFilter, records_of
from tests.filter.scripted import ScriptedUpstream, free_port


def preau_filter(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "filter", *arguments], cwd=ROOT, env={**os.environ, **variables},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ut1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ut1(
        tmp_path_factory.mktemp("lists") / "ut1",
        gambling="casino.example\npoker.example\n192.0.2.1\ngouv.fr\n",
        games=["casino.example", "jeu.example"],
        press=["journal.example"],
    )


@pytest.fixture(scope="module")
def compiled(ut1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "b"
    done = preau_filter("compile", "--ut1", str(ut1), "--out", str(path), "--serial", "5")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def bundle(compiled: Path, tmp_path: Path) -> Path:
    """A test's own copy of the pair."""
    for part in (compiled, policy_of(compiled)):
        shutil.copyfile(part, tmp_path / part.name)
    return tmp_path / compiled.name


def test_compile_tells_what_it_did(ut1: Path, tmp_path: Path) -> None:
    done = preau_filter("compile", "--ut1", str(ut1), "--out", str(tmp_path / "b"), "--serial", "5")

    assert (done.returncode, done.stderr) == (0, "")
    assert "4 noms" in done.stdout
    assert re.search(r"octets, \d+,\d octets par nom, en \d+,\d s\n", done.stdout), "a comma, as French has it"
    assert "✗ gambling" in done.stdout
    assert "  press" in done.stdout
    assert "suffixe public (com, gouv.fr…) (gambling, ligne 4 : gouv.fr)" in done.stdout
    assert "publication n° 5" in done.stdout
    assert "Catégories bloquées sans liste ici : Contenus pour adultes (adult), " in done.stdout


def test_compile_reports_in_json(ut1: Path, tmp_path: Path) -> None:
    done = preau_filter(
        "compile", "--ut1", str(ut1), "--out", str(tmp_path / "b"), "--json", "--category", "games,press"
    )
    report = json.loads(done.stdout)

    assert report["names"] == 3
    assert [each["info"]["slug"] for each in report["lists"]] == ["games", "press"]


def test_chosen_categories_are_all_blocked(ut1: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    preau_filter("compile", "--ut1", str(ut1), "--out", str(out), "--category", "press", "--category", "games")

    for name, verdict in (("journal.example", "BLOQUÉ"), ("jeu.example", "BLOQUÉ"), ("poker.example", "PERMIS")):
        assert verdict in preau_filter("explain", "--bundle", str(out), name).stdout


def test_explain_tells_everything(bundle: Path) -> None:
    done = preau_filter("explain", "--bundle", str(bundle), "--client", "10.0.0.1", "WWW.Casino.example", "AAAA")

    assert done.returncode == 0
    assert done.stdout.startswith("www.casino.example : BLOQUÉ")
    assert "casino.example est dans « Jeux d’argent » (bloquée ;" in done.stdout
    assert "catégorie bloquée par le profil « Jeux d’argent »" in done.stdout
    assert "gambling" not in done.stdout
    assert "Jeux en ligne" in done.stdout
    assert "(ignorée ;" in done.stdout
    assert "client 10.0.0.1" in done.stdout

    values = json.loads(preau_filter("explain", "--bundle", str(bundle), "--json", "casino.example").stdout)
    assert values["decision"]["action"] == "blocked"
    assert [(each["list"]["slug"], each["effect"]) for each in values["matches"]] == [
        ("gambling", "blocks"),
        ("games", "none"),
    ]
    assert "aucune ne connaît ce nom" in preau_filter("explain", "--bundle", str(bundle), "libre.example").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compile", "--ut1", "/nulle/part", "--out", "x"], "n’est pas un dossier"),
        (["compile", "--out", "x"], "--ut1"),
        (["compile", "--ut1", "UT1", "--out", "x", "--category", "casino"], "catégories inconnues : casino"),
        (["compile", "--ut1", "UT1", "--out", "x", "--serial", "un"], "--serial un"),
        (["compile", "--ut1", "UT1", "--out", "x", "--published", "hier"], "AAAA-MM-JJ"),
        (["compile", "--ut1", "UT1", "--out", "/nulle/part/x"], "/nulle/part"),
        (["explain", "--bundle", "/nulle/part", "a.example"], "/nulle/part n’existe pas"),
        (["explain", "--bundle", __file__, "a.example"], "[foreign]"),
        (["explain", "--bundle", "BUNDLE", "pas un nom"], "n’est pas un nom de domaine"),
        (["explain", "--bundle", "BUNDLE", "a.example", "XYZ"], "type « XYZ » inconnu"),
        (["explain", "--bundle", "BUNDLE", "--at", "hier", "a.example"], "--at hier : attendu AAAA-MM-JJTHH:MM"),
        (["explain", "--bundle", "BUNDLE", "--policy", "/nulle/part", "a.example"], "/nulle/part n’existe pas"),
        (["explain", "--bundle", "BUNDLE", "--policy", "BUNDLE", "a.example"], "[wrong_kind]"),
        (["serve"], "--listen manque"),
        (["serve"], "--upstream manque"),
        (["serve"], "--bundle ou --controller manque"),
        (["serve", "--listen", "ecole", "--upstream", "127.0.0.1"], "--listen ecole:53"),
        (["serve", "--listen", "127.0.0.1:99999", "--upstream", "127.0.0.1"], "attendu ADRESSE:PORT"),
        (["serve", "--listen", "127.0.0.1:5300", "--upstream", "127.0.0.1:5300", "--bundle", "x"], "une boucle"),
        (["serve", "--listen", "127.0.0.1:5300", "--upstream", "x.invalid", "--bundle", "x"], "résolveur introuvable"),
        (["serve", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1", "--bundle", "/nulle/part"], "n’existe pas"),
        (["serve", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1", "--controller", "ftp://x"], "https://hôte"),
        (
            ["serve", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1", "--controller", "https://x"],
            "--data-dir manque",
        ),
        (
            ["serve", "--listen", "192.0.2.1:5300", "--upstream", "127.0.0.1", "--bundle", "BUNDLE"],
            "n’est pas celle de cette",
        ),
        (["serve", "--block-address", "ici"], "--block-address ici"),
        (["serve", "--cache-mb", "beaucoup"], "--cache-mb beaucoup"),
        (["status"], "--metrics"),
        (["status", "--metrics", "127.0.0.1:1"], "aucun filtre ne répond à 127.0.0.1:1 (connexion refusée"),
        (["explain", "--bundle", "/", "a.example"], "/ : c’est un dossier"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(bundle: Path, ut1: Path, arguments: list[str], words: str) -> None:
    places = {"BUNDLE": str(bundle), "UT1": str(ut1)}
    done = preau_filter(*(places.get(argument, argument) for argument in arguments))

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version() -> None:
    way = "compiled" if is_compiled() else "python"
    assert preau_filter("--version").stdout == f"preau-filter {version('preau')} ({way})\n"
    told = preau_filter("--help").stdout
    for word in ("compile", "serve", "explain", "status", "PREAU_FILTER_", "exemples"):
        assert word in told
    assert "répétable" in preau_filter("serve", "--help").stdout
    assert preau_filter("danser").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "il manque : COMMANDE."),
        (
            ["zut"],
            (
                "COMMANDE : « zut » n’existe pas ; au choix : compile, check-list, serve, explain, preview, "
                "addresses, keygen, status."
            ),
        ),
        (["serve", "--listen"], "--listen : une valeur est attendue."),
        (["serve", "--zut"], "argument inconnu : --zut."),
        (["serve", "--b", "1"], "--b est ambigu : --bundle, --block-page, --block-address."),
        (["compile", "--json=1"], "--json : aucune valeur n’est attendue (reçu : 1)."),
        (["explain"], "il manque : NOM."),
    ],
)
def test_a_wrong_command_is_told_in_french(arguments: list[str], told: str) -> None:
    done = preau_filter(*arguments, LANG="en_US.UTF-8", LANGUAGE="en")
    assert done.stderr.startswith(f"Commande incorrecte : {told} Voir « preau-filter")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_help_is_french_all_over() -> None:
    text = "".join(preau_filter(*command, "--help").stdout for command in ([], ["explain"], ["serve"]))
    assert text.count("Usage : preau-filter") == text.count("affiche cette aide") == 3
    assert not [word for word in ("usage:", "positional", "show ", "exit") if word in text]


def test_variables_stand_for_options(bundle: Path) -> None:
    with ScriptedUpstream() as upstream:
        upstream.add("journal.example. 60 IN A 93.184.216.34")
        environ = {
            "PREAU_FILTER_BUNDLE": str(bundle),
            "PREAU_FILTER_UPSTREAM": f"127.0.0.1:{free_port()},{upstream.address}",
        }
        with RunningFilter(environ=environ) as running:
            assert records_of(running.ask("journal.example")) == ["A 93.184.216.34"]
            told = preau_filter("status", PREAU_FILTER_METRICS=f"127.0.0.1:{running.metrics}")
    assert told.returncode == 0
    assert "Filtre prêt" in told.stdout
    assert "en panne" in told.stdout


def test_a_hangup_reads_the_file_anew_and_a_bad_file_changes_nothing(bundle: Path, ut1: Path) -> None:
    with RunningFilter("--bundle", str(bundle), "--upstream", f"127.0.0.1:{free_port()}") as running:
        aside = bundle.with_name("autre")
        preau_filter("compile", "--ut1", str(ut1), "--out", str(aside), "--category", "press", "--serial", "6")
        policy_of(aside).replace(policy_of(bundle))
        aside.replace(bundle)
        running.process.send_signal(signal.SIGHUP)
        assert running.wait_for("bundle reloaded")["serial"] == 6
        assert running.ask("journal.example").rcode() == 3

        aside.write_bytes(b"rien de bon")
        aside.replace(bundle)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("bundle not reloaded, the open one stays")
        assert running.ask("journal.example").rcode() == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(bundle: Path, number: signal.Signals) -> None:
    with RunningFilter("--bundle", str(bundle), "--upstream", f"127.0.0.1:{free_port()}") as running:
        running.process.send_signal(number)
        assert running.process.wait(10) == 0
        running.wait_for("the process is gone")
    assert [line["message"] for line in running.lines] == ["filter answers", "pair in use", "the process is gone"]


def test_ipv4_and_ipv6_are_served_side_by_side(bundle: Path) -> None:
    port = free_port()
    options = ["--bundle", str(bundle), "--upstream", f"127.0.0.1:{free_port()}", "--listen", f"[::]:{port}"]
    with RunningFilter(*options, "--listen", f"0.0.0.0:{port}") as running:
        query = dns.message.make_query("localhost", "A")
        for address in ("127.0.0.1", "::1"):
            assert dns.query.udp(query, address, port=port, timeout=8).answer
            assert dns.query.tcp(query, address, port=port, timeout=8).answer
        assert running.ask("localhost").answer


@pytest.mark.parametrize(("option", "rules", "told"), [([], 0, 1), (["--trust-replies"], 1, 0)])
def test_a_list_leads_somewhere_only_when_it_is_trusted(
    tmp_path: Path, option: list[str], rules: int, told: int
) -> None:
    path = tmp_path / "liste.txt"
    path.write_text("||banque.example^$dnsrewrite=203.0.113.66\n||jeu.example^\n")

    done = preau_filter("compile", "--list", str(path), "--out", str(tmp_path / "noms"), "--json", *option)
    report = json.loads(done.stdout)

    assert (report["rules"], report["names"]) == (rules, 2 - rules)
    assert report["lists"][0]["info"]["skipped"] == ({"reply_not_trusted": 1} if told else {})
    assert preau_filter("compile", "--list", str(path), "--out", str(tmp_path / "noms"), *option).returncode == 0
