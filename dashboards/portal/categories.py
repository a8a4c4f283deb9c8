"""The categories of the UT1 lists, as a school reads them: a label, a sentence, and the heading they stand under."""

from collections.abc import Iterable
from dataclasses import dataclass

GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Protection des élèves",
        (
            ("adult", "Contenus pour adultes"),
            ("mixed_adult", "Contenus adultes mêlés à d’autres"),
            ("lingerie", "Lingerie"),
            ("agressif", "Haine et violence"),
            ("dating", "Rencontres"),
            ("drogue", "Drogues"),
            ("gambling", "Jeux d’argent"),
            ("arjel", "Jeux d’argent agréés"),
            ("dangerous_material", "Matières dangereuses"),
            ("sect", "Dérives sectaires"),
            ("stalkerware", "Logiciels espions"),
        ),
    ),
    (
        "Sécurité",
        (
            ("malware", "Logiciels malveillants"),
            ("phishing", "Hameçonnage"),
            ("cryptojacking", "Minage caché"),
            ("ddos", "Attaques"),
            ("dialer", "Numéroteurs"),
            ("hacking", "Piratage"),
            ("warez", "Copies illégales"),
            ("dynamic-dns", "Noms dynamiques"),
            ("reaffected", "Noms réaffectés"),
        ),
    ),
    (
        "Contournement du filtre",
        (
            ("vpn", "VPN"),
            ("doh", "DNS chiffré tiers"),
            ("redirector", "Mandataires web"),
            ("strict_redirector", "Mandataires web stricts"),
            ("strong_redirector", "Mandataires web élargis"),
            ("residential-proxies", "Mandataires résidentiels"),
            ("remote-control", "Prise de main à distance"),
            ("shortener", "Raccourcisseurs d’adresses"),
        ),
    ),
    (
        "Examens et travail scolaire",
        (
            ("tricheur", "Aide à la triche"),
            ("tricheur_pix", "Triche Pix"),
            ("examen_pix", "Examen Pix"),
            ("ai", "Intelligences artificielles"),
            ("translation", "Traduction automatique"),
            ("fakenews", "Désinformation"),
        ),
    ),
    (
        "Loisirs et réseaux",
        (
            ("social_networks", "Réseaux sociaux"),
            ("chat", "Messageries instantanées"),
            ("forums", "Forums"),
            ("blog", "Blogs"),
            ("games", "Jeux en ligne"),
            ("audio-video", "Audio et vidéo"),
            ("radio", "Radios"),
            ("manga", "Mangas"),
            ("celebrity", "Célébrités"),
            ("sports", "Sports"),
            ("astrology", "Astrologie"),
            ("cooking", "Cuisine"),
        ),
    ),
    (
        "Commerce et services",
        (
            ("publicite", "Publicité"),
            ("marketingware", "Traceurs publicitaires"),
            ("shopping", "Achats"),
            ("bank", "Banques"),
            ("financial", "Finance"),
            ("bitcoin", "Cryptomonnaies"),
            ("jobsearch", "Recherche d’emploi"),
            ("mobile-phone", "Téléphonie"),
            ("webmail", "Messageries web"),
            ("filehosting", "Stockage de fichiers"),
            ("webhosting", "Hébergement web"),
            ("download", "Téléchargements"),
            ("press", "Presse"),
            ("associations_religieuses", "Associations religieuses"),
        ),
    ),
    (
        "Listes d’autorisation",
        (
            ("liste_blanche", "Liste blanche de l’éducation"),
            ("liste_bu", "Ressources documentaires"),
            ("exceptions_liste_bu", "Exceptions documentaires"),
            ("child", "Sites pour enfants"),
            ("educational_games", "Jeux éducatifs"),
            ("sexual_education", "Éducation à la sexualité"),
            ("cleaning", "Antivirus et nettoyage"),
            ("update", "Mises à jour"),
            ("special", "Cas particuliers"),
        ),
    ),
)
LABELS = {slug: label for _, entries in GROUPS for slug, label in entries}


@dataclass(frozen=True, slots=True)
class Group:
    """A heading and the categories under it."""

    title: str
    entries: tuple[tuple[str, str], ...]


def label(slug: str) -> str:
    """What people read; a category that nobody translated is shown as it is."""
    return LABELS.get(slug, slug)


def groups(known: Iterable[str]) -> list[Group]:
    """Every category, with those that only the lists know under a heading of their own: none is hidden."""
    others = tuple((slug, slug) for slug in sorted(set(known) - LABELS.keys()))
    found = [Group(title, entries) for title, entries in GROUPS]
    return [*found, Group("Autres", others)] if others else found
