"""The command line of the filter: options, their PREAU_FILTER_* variables, and which command runs."""

import argparse
import errno
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from filter.bundle import BundleRefused
from filter.french import FrenchParser

EPILOG = """\
Chaque option a sa variable d’environnement : --block-page est PREAU_FILTER_BLOCK_PAGE ; une option répétable y prend
des valeurs séparées par des virgules. L’option l’emporte sur la variable.

exemples :
  preau-filter compile --ut1 blacklists --out ecole.preau
  preau-filter serve --bundle ecole.preau --listen 127.0.0.1:5300 --upstream 9.9.9.9
  preau-filter check-list liste.txt
  preau-filter explain --bundle ecole.preau --client 10.2.0.17 www.exemple.fr AAAA

codes de sortie : 0 tout va bien, 1 refusé ou impossible (une phrase dit pourquoi), 2 mauvaise option
"""
LIST_FORMATS = ("adblock", "addresses", "dnsmasq", "domains", "hosts", "rpz", "wildcards")
"""The keys of filter.lists.formats.FORMATS, told without reading them."""


class Parser(FrenchParser):
    """Options that also read their variable."""

    def __init__(self, *args: object, environ: Mapping[str, str] | None = None, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.environ = os.environ if environ is None else environ

    def option(self, name: str, *, help: str, default: str | None = None, metavar: str = "…") -> None:
        """One value; without the option, its variable; without it, the default."""
        variable = variable_of(name)
        value = self.environ.get(variable) or default
        self.add_argument(name, metavar=metavar, default=value, help=help)

    def options(self, name: str, *, help: str, metavar: str) -> None:
        """Any number of values, each behind its own option."""
        given = [v.strip() for v in self.environ.get(variable_of(name), "").split(",") if v.strip()]
        self.add_argument(name, metavar=metavar, action="append", help=f"{help} (répétable)")
        self.set_defaults(**{f"{destination_of(name)}_variable": given})


def destination_of(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")


def variable_of(name: str) -> str:
    return f"PREAU_FILTER_{destination_of(name).upper()}"


def make_parser(environ: Mapping[str, str] | None = None) -> argparse.ArgumentParser:
    parser = FrenchParser(
        prog="preau-filter",
        description="Filtre DNS de Préau : compile des listes, répond aux écoles, dit pourquoi un nom est bloqué.",
        epilog=EPILOG,
    )
    own = f"preau-filter {version('preau')}"
    parser.add_argument("--version", action="version", version=own, help="affiche la version")
    commands = parser.add_subparsers(
        title="commandes", dest="command", required=True, metavar="COMMANDE", parser_class=Parser
    )

    compiling = commands.add_parser("compile", help="des listes UT1 au fichier que le filtre sert", environ=environ)
    compiling.option("--ut1", metavar="DOSSIER", help="dossier des listes UT1 (un dossier par catégorie)")
    compiling.option("--out", metavar="FICHIER", help="fichier à écrire (remplacé d’un coup)")
    compiling.options(
        "--category", metavar="CATÉGORIES", help="seulement ces catégories, toutes bloquées ; virgules permises"
    )
    compiling.option("--serial", metavar="N", help="numéro de publication (par défaut : l’heure, en secondes)")
    compiling.option("--published", metavar="AAAA-MM-JJ", help="date des listes, notée dans le fichier")
    compiling.add_argument("--json", action="store_true", help="rapport en JSON")

    serving = commands.add_parser("serve", help="répondre aux requêtes DNS", environ=environ)
    serving.option("--bundle", metavar="FICHIER", help="listes compilées (relues au signal HUP)")
    serving.options("--listen", metavar="ADRESSE:PORT", help="où répondre, en UDP et en TCP")
    serving.options("--upstream", metavar="HÔTE[:PORT]", help="résolveur à qui demander les noms permis")
    serving.option("--block-page", metavar="ADRESSE:PORT", help="où servir la page qui dit pourquoi (HTTP)")
    serving.options("--block-address", metavar="IP", help="adresse donnée aux noms bloqués ; sans elle : NXDOMAIN")
    serving.option("--metrics", metavar="ADRESSE:PORT", help="où servir /metrics, /health/live et /health/ready")
    serving.option("--cache-mb", metavar="N", default="64", help="mémoire du cache, en Mio (64)")
    serving.option("--controller", metavar="URL", help="contrôleur d’où viennent les listes")
    serving.option("--credential-file", metavar="FICHIER", help="identifiant de ce filtre auprès du contrôleur")
    serving.option("--ca-file", metavar="FICHIER", help="autorité qui signe le certificat du contrôleur (PEM)")
    serving.option("--data-dir", metavar="DOSSIER", help="où garder les dernières listes reçues")
    serving.option("--interval", metavar="SECONDES", default="30", help="entre deux demandes au contrôleur (30)")
    serving.option("--log-format", metavar="json|console", default="json", help="forme des journaux (json)")

    explaining = commands.add_parser(
        "explain", help="dire ce que le filtre ferait d’un nom, et pourquoi", environ=environ
    )
    explaining.option("--bundle", metavar="FICHIER", help="listes compilées")
    explaining.option("--client", metavar="ADRESSE", help="adresse de l’appareil qui demande")
    explaining.add_argument("--json", action="store_true", help="réponse en JSON")
    question = explaining.add_argument_group("arguments")
    question.add_argument("name", metavar="NOM", help="nom demandé")
    question.add_argument("type", metavar="TYPE", nargs="?", default="A", help="A par défaut")

    checking = commands.add_parser(
        "check-list", help="dire ce que contient une liste, avant de s’y fier", environ=environ
    )
    known = ", ".join(LIST_FORMATS)
    checking.add_argument(
        "--format", choices=LIST_FORMATS, metavar="FORMAT", help=f"{known} ; sans cette option, d’après le contenu"
    )
    checking.add_argument("--json", action="store_true", help="rapport en JSON")
    arguments = checking.add_argument_group("arguments")
    arguments.add_argument("file", metavar="FICHIER", help="liste, ou dossier ou archive UT1")

    status = commands.add_parser("status", help="demander à un filtre en marche comment il va", environ=environ)
    status.option("--metrics", metavar="ADRESSE:PORT", help="où ce filtre sert ses mesures")
    status.add_argument("--json", action="store_true", help="réponse en JSON")
    return parser


CAUSES = {
    errno.EACCES: "permission refusée",
    errno.EPERM: "permission refusée",
    errno.EISDIR: "c’est un dossier, un fichier est attendu",
    errno.ENOTDIR: "un fichier occupe la place d’un dossier",
    errno.ENOSPC: "disque plein",
    errno.EROFS: "système de fichiers en lecture seule",
}


def run(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run a command; the exit status. What cannot be done is one sentence, not a traceback."""
    args = make_parser(environ).parse_args(arguments)
    merge_variables(args)
    module = args.command.replace("-", "_")
    command = import_module(f"filter.commands.{module}")  # each brings what it needs, so that help is instant
    try:
        status: int = command.run(args)
    except command.PROBLEMS as error:
        return complain(str(error))
    except BundleRefused as error:
        return complain(f"{error} [{error.reason}]")
    except FileNotFoundError as error:
        return complain(f"{error.filename} n’existe pas")
    except OSError as error:
        cause = CAUSES.get(error.errno or 0) or error.strerror or str(error)
        return complain(f"{error.filename or ''} : {cause}".removeprefix(" : "))
    return status


def merge_variables(args: argparse.Namespace) -> None:
    """Repeatable options that were not given take their variable's values."""
    for name in [name for name in vars(args) if name.endswith("_variable")]:
        option = name.removesuffix("_variable")
        setattr(args, option, getattr(args, option) or getattr(args, name))


def complain(text: str) -> int:
    sys.stderr.write(f"preau-filter : {text}\n")
    return 1


def path_option(value: str | None) -> Path | None:
    return None if value is None else Path(value)
