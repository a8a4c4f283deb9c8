"""The command line speaks French, its framework's words too, on a machine that speaks English."""

import subprocess

import pytest

from fleet.french import in_french
from tests.up_process import COMMAND, plain_environment


def preau(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = plain_environment(LANG="en_US.UTF-8", LANGUAGE="en", COLUMNS="100")
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zut"], "Erreur : la commande « zut » n’existe pas.\nVoir « preau --help »."),
        (["token", "creat"], "la commande « creat » n’existe pas ; proches : create."),
        (["up", "--prot", "1"], "l’option --prot n’existe pas ; proches : --dns-port, --host, --port."),
        (["up", "--port", "abc"], "valeur incorrecte pour --port : un nombre entier est attendu."),
        (["up", "--port", "70000"], "valeur incorrecte pour --port : le plus grand permis est 65535."),
        (["account", "create"], "il manque l’argument email."),
        (["token", "create"], "il manque l’option --school."),
        (["token", "create", "--kind", "x"], "valeur incorrecte pour --kind : au choix : display, tablet, laptop"),
    ],
)
def test_a_wrong_command_is_told_in_french(arguments: list[str], said: str) -> None:
    done = preau(*arguments)
    assert said in done.stderr
    assert done.stderr.count("\n") == 3, "how it is used, what is wrong, where the help is"
    assert done.returncode == 2
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("Option '--port' requires an argument.", "l’option --port attend une valeur."),
        ("Option '--demo' does not take a value.", "l’option --demo ne prend pas de valeur."),
        ("Got unexpected extra argument(s) (a b)", "de trop : a b"),
        ("No such option: --zut", "l’option --zut n’existe pas."),
        ("Missing command.", "il manque la commande."),
        ("Invalid value for '--port': Input should be greater than or equal to 1",
         "valeur incorrecte pour --port : le plus petit permis est 1."),
        ("Invalid value for 'FICHIER': File 'a b.csv' does not exist.",
         "valeur incorrecte pour FICHIER : « a b.csv » n’existe pas."),
        ("Le fichier est vide.", "Le fichier est vide."),
    ],
)  # fmt: skip
def test_sentences_of_the_framework(english: str, french: str) -> None:
    assert in_french(english) == french


def test_the_help_is_french_all_over() -> None:
    text = preau("up", "--help").stdout + preau("token", "create", "--help").stdout + preau("token", "--help").stdout
    for wanted in ("Affiche cette aide.", "[par défaut : 8443]", "[obligatoire]", "─ Commandes ─", "<texte>",
                   "COMMANDE [ARGUMENTS]…"):  # fmt: skip
        assert wanted in text
    for unwanted in ("Show this", "default:", "required", "Commands", "<str>", "<bool>", "COMMAND "):
        assert unwanted not in text
