"""Words of the filtering pages: how fetches end, what became of contents, what the history calls things."""

from collections.abc import Mapping

from dashboards.portal.categories import label
from dashboards.portal.words import Word
from fleet.filtering.lists.catalogue import ENGINE_TITLES
from fleet.filtering.models import FilterSource

OUTCOME: Mapping[str, Word] = {
    "accepted": Word("Reçue", "check-circle", "good"),
    "unchanged": Word("Inchangée", "check-circle", "good"),
    "held": Word("Retenue : à vérifier", "exclamation-triangle", "warn"),
    "rejected": Word("Rejetée", "slash-circle", "warn"),
    "unreachable": Word("Injoignable", "wifi-off", "bad"),
    "broken_off": Word("Interrompue", "wifi-off", "bad"),
    "forbidden_address": Word("Adresse interdite", "shield-exclamation", "bad"),
    "bad_answer": Word("Refusée par le serveur", "x-circle", "bad"),
    "too_large": Word("Trop volumineuse", "x-circle", "bad"),
    "wrong_checksum": Word("Somme de contrôle fausse", "x-circle", "bad"),
    "not_a_list": Word("Pas une liste", "x-circle", "bad"),
}
CONTENT: Mapping[str, Word] = {
    "partial": Word("Reçu en partie", "hourglass-split", "info"),
    "fetched": Word("En cours d’examen", "hourglass-split", "info"),
    "held": Word("Retenu", "exclamation-triangle", "warn"),
    "good": Word("En service", "check-circle", "good"),
    "rejected": Word("Rejeté", "slash-circle", "bad"),
    "replaced": Word("Remplacé", "archive"),
}
EVENTS: Mapping[str, str] = {
    "label.remove": "Appareil sans profil propre",
    "label.set": "Profil donné à un appareil",
    "layer.set": "Réglage d’un profil",
    "lesson.prolong": "Leçon prolongée",
    "lesson.start": "Leçon lancée",
    "lesson.stop": "Leçon arrêtée",
    "name_list.remove": "Liste de leçon supprimée",
    "name_list.save": "Liste de leçon enregistrée",
    "network.add": "Réseau rattaché",
    "network.remove": "Réseau détaché",
    "override.add": "Dérogation",
    "override.revoke": "Dérogation levée",
    "policy.overtake": "Numéros de politiques relevés",
    "policy.return": "Retour à une politique",
    "preview.abandon": "Essai abandonné",
    "preview.ask": "Essai demandé",
    "profile.add": "Nouveau profil",
    "profile.remove": "Profil supprimé",
    "profile.rename": "Profil renommé",
    "publication.overtake": "Numéros de publications relevés",
    "publication.return": "Retour à une publication",
    "room.add": "Nouvelle salle",
    "room.remove": "Salle supprimée",
    "room.rename": "Salle renommée",
    "schedule.add": "Nouvelle plage horaire",
    "schedule.change": "Plage horaire modifiée",
    "schedule.remove": "Plage horaire supprimée",
    "source.add": "Nouvelle source",
    "source.approve": "Contenu retenu accepté",
    "source.change": "Source modifiée",
    "source.fetch": "Téléchargement demandé",
    "source.reject": "Contenu retenu rejeté",
    "unblock.allow": "Demande acceptée",
    "unblock.ask": "Demande de déblocage",
    "unblock.decline": "Demande refusée",
}
KINDS: Mapping[str, str] = {
    "layer.": "Réglages des profils",
    "profile.": "Profils",
    "schedule.": "Plages horaires",
    "source.": "Listes",
    "publication.": "Publications",
    "policy.": "Politiques",
    "preview.": "Essais",
    "override.": "Dérogations",
    "unblock.": "Demandes",
    "lesson.": "Leçons",
    "name_list.": "Listes de leçons",
    "room.": "Salles",
    "network.": "Réseaux",
    "label.": "Appareils",
}
"""Beginning of a verb -> what the history's filter calls it."""
FIELDS: Mapping[str, str] = {
    "title": "Nom", "url": "Adresse", "format": "Format", "category": "Catégorie", "categories": "Catégories",
    "licence": "Licence", "is_internal": "Réseau interne", "checksum_url": "Somme de contrôle",
    "quiet_from": "Repos à partir de (UTC)", "quiet_until": "Repos jusqu’à (UTC)", "every_hours": "Toutes les (heures)",
    "shrink_percent": "Rétrécissement toléré (%)", "growth_percent": "Croissance tolérée (%)",
    "popular_limit": "Noms très fréquentés tolérés", "is_enabled": "Active", "name": "Nom", "names": "Noms",
    "slug": "Identifiant", "verdict": "Verdict", "reason": "Raison", "starts": "Début", "ends": "Fin", "place": "Lieu",
    "profile": "Profil", "engines": "Recherche sûre", "youtube": "YouTube", "block_mode": "Réponse aux noms bloqués",
    "bypass": "Contournement", "rewrites": "Réponses locales", "serial": "Numéro", "returns_to": "Retour au numéro",
    "weekly": "Semaine", "holidays": "Vacances", "exceptions": "Exceptions", "in_holidays": "Aussi en vacances",
    "zone_b": "Vacances de la zone B", "timezone": "Fuseau horaire", "content": "Contenu", "digest": "Empreinte",
    "doubts": "Doutes", "status": "État", "answer": "Réponse", "contact": "Contact", "school": "École",
    "room": "Salle", "cidr": "Réseau",
}  # fmt: skip
VERDICTS: Mapping[str, str] = {"block": "Bloquer", "allow": "Autoriser", "neutral": "Sans effet"}
YOUTUBE: Mapping[str, str] = {"off": "Sans restriction", "moderate": "Modéré", "strict": "Strict"}
BLOCK_MODES: Mapping[str, str] = {
    "page": "Page « site bloqué »",
    "nxdomain": "Nom inexistant (NXDOMAIN)",
    "zero": "Adresse vide (0.0.0.0)",
}
REFUSALS: Mapping[str, str] = {
    "foreign": "ce n’est pas un fichier de Préau",
    "newer": "le fichier est d’un format plus récent : mettez le filtre à jour",
    "older_format": "le fichier est d’un ancien format",
    "truncated": "le fichier est incomplet",
    "altered": "le fichier a été abîmé ou modifié en route",
    "invalid": "le fichier est mal formé",
    "older_serial": "le fichier est plus ancien que celui qu’il sert",
    "candidate": "c’est un fichier d’essai, qui ne sert qu’à comparer",
    "unsigned": "le fichier n’est pas signé",
    "foreign_signature": "la signature n’est pas celle de ce contrôleur",
    "wrong_digest": "le fichier n’est pas celui qui était annoncé",
    "wrong_kind": "ce n’est pas le fichier attendu",
}
"""Why a filter keeps its last good file, by filter.bundle's stable reasons."""
PREVIEW_STATE: Mapping[str, Word] = {
    "preparing": Word("En préparation", "hourglass-split", "info"),
    "asking": Word("En cours", "arrow-repeat", "info"),
    "done": Word("Terminé", "check-circle", "good"),
    "abandoned": Word("Abandonné", "slash-circle"),
    "failed": Word("Échoué", "x-circle", "bad"),
}
PREVIEW_ANSWER: Mapping[str, Word] = {
    "judged": Word("A répondu", "check-circle", "good"),
    "no_counts": Word("Ne compte pas les noms demandés", "question-circle", "warn"),
    "other_names": Word("N’a pas les listes du moment", "arrow-repeat", "warn"),
    "refused": Word("A refusé les fichiers de l’essai", "shield-exclamation", "bad"),
    "failed": Word("N’a pas pu juger", "x-circle", "bad"),
}
"""What a filter made of a preview, by its stable outcome."""
FILES: Mapping[str, str] = {"names": "les listes", "policy": "la politique"}


def source_word(source: FilterSource) -> Word:
    """The chip of a source."""
    if not source.is_enabled:
        return Word("Désactivée", "pause-fill")
    if source.url is None:
        return Word("Lue à chaque publication", "check-circle", "good")
    if source.outcome is None:
        return Word("Pas encore téléchargée", "hourglass-split", "info")
    return OUTCOME[source.outcome.value]


def refusals_of(health: Mapping[str, object]) -> list[str]:
    """Sentences on the files that a filter last refused; what it says in another shape is left out."""
    refused = health.get("refused")
    if not isinstance(refused, dict):
        return []
    told = [(name, each.get("reason")) for name, each in refused.items() if isinstance(each, dict)]
    return [f"Il a refusé {FILES.get(name, name)} : {REFUSALS.get(str(why), str(why))}." for name, why in told]


def said(value: object) -> str:
    """A value of the history in a few words."""
    if isinstance(value, bool):
        return "oui" if value else "non"
    if value is None or value == "" or value == []:
        return "rien"
    if isinstance(value, dict):
        return line_said(value)
    if isinstance(value, list):
        more = f"… et {len(value) - 12} autres" if len(value) > 12 else ""
        return ", ".join(said(each) for each in value[:12]) + more
    return VERDICTS.get(str(value), str(value))


def line_said(line: Mapping[str, object]) -> str:
    """One line of a layer: ``Jeux : Bloquer (temps-scolaire)``; any other dictionary by its fields."""
    if "verdict" in line and ("category" in line or "name" in line):
        subject = label(str(line["category"])) if "category" in line else str(line["name"])
        when = f" pendant {line['schedule']}" if line.get("schedule") else ""
        return f"{subject} : {said(line['verdict']).lower()}{when}{locked(line)}"
    if "engine" in line:
        return f"{ENGINE_TITLES.get(str(line['engine']), line['engine'])} : {said(line.get('on'))}{locked(line)}"
    for key, titles in (("level", YOUTUBE), ("mode", BLOCK_MODES)):
        if key in line:
            return f"{titles.get(str(line[key]), line[key])}{locked(line)}"
    if "closed" in line:
        return f"{'fermé' if line['closed'] else 'permis'}{locked(line)}"
    told = [(FIELDS.get(key, key), value) for key, value in line.items() if key != "mark" and value not in (None, "")]
    return " ; ".join(f"{name} : {said(value)}" for name, value in told)


def locked(line: Mapping[str, object]) -> str:
    mark = line.get("mark")
    return ", verrouillé" if isinstance(mark, dict) and mark.get("locked") else ""


def changes_of(before: Mapping[str, object] | None, after: Mapping[str, object] | None) -> list[tuple[str, str, str]]:
    """What differs between the two sides of an event: field, before, after. Lists tell only what left and what came."""
    told = []
    for key in dict.fromkeys([*(before or ()), *(after or ())]):
        was, now = (before or {}).get(key), (after or {}).get(key)
        if was == now:
            continue
        if isinstance(was, list | None) and isinstance(now, list | None):
            was, now = (
                [each for each in mine or () if each not in (other or ())] for mine, other in ((was, now), (now, was))
            )
        told.append((FIELDS.get(key, key), said(was), said(now)))
    return told
