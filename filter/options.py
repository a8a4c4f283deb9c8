"""Every command of the filter, its options and their PREAU_FILTER_* variables, in French."""

import argparse
import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import TypeAlias

from filter.french import FrenchParser
from filter.plane.choosing import is_compiled

EPILOG = """\
Chaque option a sa variable d’environnement : --block-page est PREAU_FILTER_BLOCK_PAGE ; une option répétable y prend
des valeurs séparées par des virgules. L’option l’emporte sur la variable.

exemples :
  preau-filter compile --ut1 blacklists --out ecole.preau
  preau-filter serve --bundle ecole.preau --listen 127.0.0.1:5300 --upstream 9.9.9.9
  preau-filter check-list liste.txt
  preau-filter explain --bundle ecole.preau --client 10.2.0.17 www.exemple.fr AAAA
  preau-filter preview --help

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

    def moment(self) -> None:
        """Another moment than now."""
        self.option("--at", metavar="DATE", help="à ce moment (2026-11-23T10:00+01:00) plutôt que maintenant")

    def json(self, told: str = "réponse") -> None:
        """For a program rather than a person."""
        self.add_argument("--json", action="store_true", help=f"{told} en JSON")


def destination_of(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")


def variable_of(name: str) -> str:
    return f"PREAU_FILTER_{destination_of(name).upper()}"


Environ: TypeAlias = Mapping[str, str] | None
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def make_parser(environ: Environ = None) -> argparse.ArgumentParser:
    parser = FrenchParser(
        prog="preau-filter",
        description="Filtre DNS de Préau : compile des listes, répond aux écoles, dit pourquoi un nom est bloqué.",
        epilog=EPILOG,
    )
    own = f"preau-filter {version('preau')} ({'compiled' if is_compiled() else 'python'})"
    parser.add_argument("--version", action="version", version=own, help="affiche la version")
    commands = parser.add_subparsers(
        title="commandes", dest="command", required=True, metavar="COMMANDE", parser_class=Parser
    )
    for add in (
        add_compile, add_check_list, add_serve, add_explain, add_preview, add_addresses, add_keygen, add_status,
    ):  # fmt: skip
        add(commands, environ)
    return parser


def add_compile(commands: Commands, environ: Environ) -> None:
    compiling = commands.add_parser(
        "compile",
        help="des listes aux deux fichiers que le filtre sert",
        description="Écrit les noms dans FICHIER et la politique dans FICHIER.policy, chacun d’un coup.",
        epilog="exemples :\n  preau-filter compile --ut1 blacklists --out ecole.preau\n"
        "  preau-filter compile --ut1 blacklists --out ecole.preau --category adult,games --sign signature.pem",
        environ=environ,
    )
    compiling.option("--ut1", metavar="DOSSIER", help="dossier des listes UT1 (un dossier par catégorie)")
    compiling.options(
        "--list", metavar="FICHIER[:CATÉGORIE[:FORMAT]]", help="liste d’un seul fichier, à bloquer ; format reconnu"
    )
    compiling.option("--out", metavar="FICHIER", help="fichier à écrire (remplacé d’un coup)")
    compiling.options(
        "--category", metavar="CATÉGORIES", help="seulement ces catégories, toutes bloquées ; virgules permises"
    )
    compiling.option("--serial", metavar="N", help="numéro de publication (par défaut : l’heure, en secondes)")
    compiling.option("--published", metavar="AAAA-MM-JJ", help="date des listes, notée dans le fichier")
    compiling.add_argument(
        "--trust-replies", action="store_true", help="donner les réponses propres aux listes de --list (les vôtres)"
    )
    compiling.option("--sign", metavar="CLÉ.PEM", help="clé privée qui signe les deux fichiers (voir keygen)")
    compiling.json("rapport")


def add_check_list(commands: Commands, environ: Environ) -> None:
    checking = commands.add_parser(
        "check-list",
        help="dire ce que contient une liste, avant de s’y fier",
        description="Lit une liste comme la compilation le fera : entrées, lignes écartées et pourquoi, suffixes "
        "publics refusés,\nnoms utiles à beaucoup qu’elle bloquerait. Rien n’est écrit.",
        epilog="exemples :\n  preau-filter check-list liste.txt\n  preau-filter check-list --format rpz zone.db --json",
        environ=environ,
    )
    known = ", ".join(LIST_FORMATS)
    checking.add_argument(
        "--format", choices=LIST_FORMATS, metavar="FORMAT", help=f"{known} ; sans cette option, d’après le contenu"
    )
    checking.json("rapport")
    arguments = checking.add_argument_group("arguments")
    arguments.add_argument("file", metavar="FICHIER", help="liste, ou dossier ou archive UT1")


def add_serve(commands: Commands, environ: Environ) -> None:
    serving = commands.add_parser(
        "serve",
        help="répondre aux requêtes DNS",
        description="Répond jusqu’au signal TERM. Les listes viennent de --bundle, ou d’un contrôleur, qui peut "
        "disparaître ensuite.",
        epilog="exemples :\n  preau-filter serve --bundle ecole.preau --listen 127.0.0.1:5300 --upstream 9.9.9.9\n"
        "  preau-filter serve --controller https://preau.example.fr --credential-file /etc/preau/filter.credential \\\n"
        "      --data-dir /var/lib/preau-filter --listen 10.2.0.1 --upstream 9.9.9.9",
        environ=environ,
    )
    serving.options("--listen", metavar="ADRESSE:PORT", help="où répondre, en UDP et en TCP")
    serving.options("--listen-tls", metavar="ADRESSE:PORT", help="où répondre en DNS sur TLS (DoT, port 853)")
    serving.options("--listen-https", metavar="ADRESSE:PORT", help="où répondre en DNS sur HTTPS (DoH, port 443)")
    serving.option("--certificate", metavar="FICHIER", help="certificat et sa chaîne (PEM), relus dès qu’ils changent")
    serving.option("--certificate-key", metavar="FICHIER", help="clé du certificat (par défaut : dans le même fichier)")
    serving.option(
        "--public-name", metavar="NOM", help="nom public du filtre : ÉTIQUETTE.NOM désigne un appareil (DoT, DoH)"
    )
    serving.option("--user", metavar="COMPTE", help="compte sous lequel continuer, une fois les ports ouverts")
    serving.option(
        "--workers",
        metavar="N|auto",
        default="auto",
        help="processus qui répondent ; 0 : un seul pour tout (auto : un par cœur)",
    )
    serving.option("--plane", metavar="auto|compiled|python", default="auto", help="qui répond en UDP (auto)")
    serving.option(
        "--rate-limit", metavar="N", default="300",
        help="questions par seconde d’une adresse, d’un appareil (300 ; plus pour un réseau connu ; 0 : sans limite)",
    )  # fmt: skip
    serving.option("--max-connections", metavar="N", default="10000", help="connexions à la fois (10000)")
    serving.option(
        "--max-connections-per-client", metavar="N", default="100",
        help="par adresse, ou par /64 en IPv6 (100 ; dix fois plus pour un réseau que la politique connaît)",
    )  # fmt: skip
    serving.options(
        "--upstream",
        metavar="RÉSOLVEUR",
        help="à qui demander les noms permis : ADRESSE[:PORT], tls://NOM[:PORT][#ADRESSE] ou "
        "https://NOM[:PORT]/CHEMIN[#ADRESSE]",
    )
    serving.options("--forward", metavar="ZONE=RÉSOLVEUR", help="à qui demander les noms d’une zone, internes surtout")
    serving.option("--upstream-ca", metavar="FICHIER", help="autorité des résolveurs chiffrés (celles du système)")
    serving.option(
        "--random-case",
        metavar="oui|non",
        default="non",
        help="majuscules au hasard dans les questions en clair, à faire rendre (non)",
    )
    serving.option("--bundle", metavar="FICHIER", help="noms compilés (relus au signal HUP, avec la politique)")
    serving.option("--policy", metavar="FICHIER", help="politique (par défaut : FICHIER.policy, à côté des noms)")
    serving.options(
        "--trusted-key", metavar="CLÉ", help="clé publique, en hexadécimal : seuls les fichiers qu’elle signe servent"
    )
    serving.option("--controller", metavar="URL", help="contrôleur d’où viennent les listes")
    serving.option(
        "--credential-file", metavar="FICHIER", help="identifiant de ce filtre, puis une ligne « ed25519 CLÉ » par clé"
    )
    serving.option("--ca-file", metavar="FICHIER", help="autorité qui signe le certificat du contrôleur (PEM)")
    serving.option("--data-dir", metavar="DOSSIER", help="où garder les fichiers reçus, les décomptes, les demandes")
    serving.option("--interval", metavar="SECONDES", default="30", help="entre deux comptes rendus au contrôleur (30)")
    serving.option("--block-page", metavar="ADRESSE:PORT", help="où servir la page qui dit pourquoi (HTTP)")
    serving.options("--block-address", metavar="IP", help="adresse donnée aux noms bloqués ; sans elle : NXDOMAIN")
    serving.option(
        "--name-counts-days",
        metavar="N",
        default="7",
        help="jours de décomptes des noms demandés, gardés dans --data-dir seulement (7 ; 0 : aucun ; 365 au plus)",
    )
    serving.option("--metrics", metavar="ADRESSE:PORT", help="où servir /metrics, /health/live et /health/ready")
    serving.option("--cache-mb", metavar="N", default="64", help="mémoire du cache, en Mio (64)")
    serving.option("--log-format", metavar="json|console", default="json", help="forme des journaux (json)")


def add_explain(commands: Commands, environ: Environ) -> None:
    explaining = commands.add_parser(
        "explain",
        help="dire ce que le filtre ferait d’un nom, et pourquoi",
        epilog="exemples :\n  preau-filter explain --bundle ecole.preau www.exemple.fr\n"
        "  preau-filter explain --bundle ecole.preau --client 10.2.0.17 --at 2026-11-23T12:30 www.exemple.fr AAAA",
        environ=environ,
    )
    explaining.option("--bundle", metavar="FICHIER", help="noms compilés")
    explaining.option("--policy", metavar="FICHIER", help="politique (par défaut : FICHIER.policy)")
    explaining.option("--client", metavar="ADRESSE", help="adresse de l’appareil qui demande")
    explaining.option("--label", metavar="ÉTIQUETTE", help="étiquette de l’appareil (chemin DoH, nom DoT)")
    explaining.moment()
    explaining.json()
    question = explaining.add_argument_group("arguments")
    question.add_argument("name", metavar="NOM", help="nom demandé")
    question.add_argument("type", metavar="TYPE", nargs="?", default="A", help="A par défaut")


def add_preview(commands: Commands, environ: Environ) -> None:
    previewing = commands.add_parser(
        "preview",
        help="dire quels noms demandés un changement bloquerait ou permettrait",
        description="Juge des noms par deux publications (chacune : les noms, et la politique à côté) et montre ceux "
        "dont le verdict change.",
        epilog="exemples :\n  preau-filter preview --from ecole.preau --to demain.preau "
        "--names /var/lib/preau-filter/name-counts.sqlite\n"
        "  preau-filter preview --from ecole.preau --to demain.preau --names noms.tsv --json\n\n"
        "noms.tsv : une ligne par nom : NOM, tabulation, REQUÊTES et, facultatif, tabulation, APPAREILS.",
        environ=environ,
    )
    previewing.option("--from", metavar="FICHIER", help="noms de la publication en service")
    previewing.option("--to", metavar="FICHIER", help="noms de la publication à venir")
    previewing.option("--names", metavar="DÉCOMPTES", help="décomptes d’un filtre (name-counts.sqlite), ou texte")
    previewing.option("--threshold", metavar="N", default="3", help="appareils au moins pour qu’un nom soit dit (3)")
    previewing.moment()
    previewing.json()


def add_addresses(commands: Commands, environ: Environ) -> None:
    listing = commands.add_parser(
        "addresses",
        help="donner les adresses d’une catégorie à un pare-feu",
        description="Ce que le DNS ne voit pas passer, la passerelle peut le fermer.",
        epilog="exemples :\n  preau-filter addresses --bundle ecole.preau --category doh,vpn\n"
        "  preau-filter addresses --bundle ecole.preau --nft doh | nft -f -",
        environ=environ,
    )
    listing.option("--bundle", metavar="FICHIER", help="noms compilés")
    listing.options("--category", metavar="CATÉGORIES", help="ces catégories ; virgules permises ; par défaut doh")
    listing.option("--nft", metavar="ENSEMBLE", help="commandes nftables qui remplissent ENSEMBLE_ipv4 et _ipv6")


def add_keygen(commands: Commands, environ: Environ) -> None:
    making = commands.add_parser(
        "keygen",
        help="faire une clé qui signe des fichiers",
        description="Écrit la clé privée (Ed25519, PEM, lisible par vous seul) et affiche la clé publique à donner aux "
        "filtres.",
        epilog="exemple :\n  preau-filter keygen --out signature.pem",
        environ=environ,
    )
    making.option("--out", metavar="FICHIER", help="où écrire la clé privée ; un fichier présent n’est pas remplacé")


def add_status(commands: Commands, environ: Environ) -> None:
    status = commands.add_parser(
        "status",
        help="demander à un filtre en marche comment il va",
        epilog="exemple :\n  preau-filter status --metrics 127.0.0.1:9154",
        environ=environ,
    )
    status.option("--metrics", metavar="ADRESSE:PORT", help="où ce filtre sert ses mesures")
    status.json()
