"""Words of the journal: what tables, columns, actions and actors are called, and how a value of an entry reads."""

from collections.abc import Mapping
from datetime import datetime

from dashboards.portal import filtering_words, words
from dashboards.portal.words import Word
from fleet.audit.models import AuditEntry
from fleet.audit.tables import MASK

TABLES: Mapping[str, str] = {
    "api_tokens": "Jeton",
    "audit_entries": "Journal",
    "collectivities": "Collectivité",
    "collectivity_memberships": "Appartenance à un groupement",
    "configuration_settings": "Réglage d’appareil",
    "device_credentials": "Secret d’appareil",
    "devices": "Appareil",
    "enrollment_tokens": "Code d’enrôlement",
    "enrollments": "Enrôlement",
    "ent_links": "Lien d’ENT",
    "ent_portals": "Portail ENT",
    "filter_labels": "Profil d’appareil",
    "filter_layers": "Réglage de filtrage",
    "filter_lessons": "Leçon",
    "filter_name_lists": "Liste de leçon",
    "filter_networks": "Réseau",
    "filter_nodes": "Filtre",
    "filter_overrides": "Dérogation",
    "filter_policies": "Politique de filtrage",
    "filter_previews": "Essai",
    "filter_profiles": "Profil de filtrage",
    "filter_publications": "Publication",
    "filter_requests": "Demande de déblocage",
    "filter_rooms": "Salle",
    "filter_schedules": "Plage horaire",
    "filter_signing_keys": "Clé de signature des listes",
    "filter_source_contents": "Contenu de liste",
    "filter_sources": "Source de listes",
    "former_communes": "Ancienne commune",
    "imports": "Import",
    "jobs": "Travail",
    "node_grants": "Accès",
    "oidc_identities": "Identité reliée",
    "role_grants": "Rôle",
    "school_ents": "ENT d’une école",
    "schools": "École",
    "second_factors": "Second facteur",
    "ticket_follow_ups": "Message de ticket",
    "tickets": "Ticket",
    "users": "Compte",
}
ACTIONS: Mapping[str, Word] = {
    "insert": Word("Ajout", "plus-lg", "good"),
    "update": Word("Modification", "pencil", "info"),
    "delete": Word("Suppression", "x-circle", "bad"),
    "leave": Word("Départ", "arrow-right", "info"),
    "arrive": Word("Arrivée", "arrow-right", "info"),
    "truncate": Word("Table vidée", "exclamation-octagon", "bad"),
    "cut": Word("Purge du journal", "archive", "warn"),
    "sign_in": Word("Connexion", "key"),
    "sign_out": Word("Déconnexion", "box-arrow-right"),
    "end_sessions": Word("Sessions terminées", "box-arrow-right"),
    "confirm": Word("Identité confirmée", "person-check"),
    "invite": Word("Invitation", "send"),
    "renew_recovery_codes": Word("Nouveaux codes de secours", "key"),
    "use_recovery_code": Word("Code de secours utilisé", "key", "warn"),
}
ACTORS: Mapping[str, Word] = {
    "person": Word("Personne", "person-check"),
    "token": Word("Code ou jeton", "qr-code"),
    "device": Word("Appareil", "display"),
    "filter": Word("Filtre", "filter"),
    "job": Word("Tâche", "arrow-repeat"),
    "command": Word("Ligne de commande", "pc-display"),
    "visitor": Word("Visiteur", "question-circle"),
    "unknown": Word("Hors de Préau", "exclamation-triangle", "warn"),
}
FIELDS: Mapping[str, str] = {
    **filtering_words.FIELDS,
    "applied_at": "Importé le", "asked_by_id": "Compte de qui demande", "cancel_asked_at": "Arrêt demandé le",
    "department": "Département", "job_id": "Travail", "mapping": "Colonnes", "parameters": "Paramètres",
    "skip_errors": "Lignes fausses écartées", "uploaded_at": "Envoyé le", "uploaded_by": "Envoyé par",
    "uploaded_by_id": "Compte de qui envoie",
    "about": "Question", "added_at": "Ajoutée le", "address": "Adresse", "adopted": "Repris",
    "agent_version": "Version de l’agent", "answered_at": "Répondu le", "answered_by": "Répondu par",
    "asked_at": "Demandé le", "asked_by": "Demandé par", "asset_tag": "Étiquette", "assigned_to_id": "Confié à",
    "at": "Date", "attempt_hash": "Tentative", "body": "Message", "by": "Auteur", "closed_at": "Clos le",
    "collectivity_id": "Collectivité", "commune_id": "Commune", "confirmed_at": "Confirmé le",
    "content_id": "Contenu", "count": "Nombre", "created_at": "Créé le", "days": "Jours",
    "decided_at": "Décidé le", "decided_by": "Décidé par", "decisions": "Décisions",
    "decisions_digest": "Empreinte des décisions", "description": "Description", "device_id": "Appareil",
    "email": "Adresse électronique", "ended_at": "Retiré le", "ended_by": "Retiré par", "ends_at": "Fin",
    "enrolled_at": "Enrôlé le", "error": "Erreur", "expires_at": "Expire le", "fetched_at": "Reçu le",
    "filter_id": "Filtre", "given_at": "Accordé le", "given_by": "Accordé par", "group_id": "Groupement",
    "hint": "Début du code", "id": "Identifiant", "insee_code": "Code INSEE", "is_active": "Actif",
    "is_default": "Par défaut", "is_open": "Ouverte", "is_public": "Public", "is_synthetic": "Fictive",
    "is_wanted": "Téléchargement demandé", "issued_at": "Délivré le", "issued_by": "Délivré par",
    "issuer": "Service d’identité", "judged_at": "Jugé pour le", "kind": "Type", "label": "Étiquette DNS",
    "latitude": "Latitude", "legal_form": "Forme juridique", "level": "Niveau", "linked_at": "Relié le",
    "locality": "Localité", "longitude": "Longitude", "macs": "Adresses MAC", "made_at": "Faite le",
    "manufacturer": "Fabricant", "max_uses": "Usages permis", "member_id": "Membre", "model": "Modèle",
    "names_digest": "Empreinte des noms", "nature": "Nature", "night": "Nuit", "number": "Numéro",
    "opened_at": "Ouvert le", "opened_by_id": "Ouvert par", "override_id": "Dérogation",
    "password_hash": "Mot de passe", "planned_for": "Planifié pour", "platform": "Système",
    "policy": "Politique", "population": "Population", "portal_id": "Portail", "position": "Place",
    "postcode": "Code postal", "postcodes": "Codes postaux", "prefix": "Début du jeton",
    "private_pem": "Clé privée", "product": "Produit", "profile_id": "Profil",
    "profile_issued_at": "Profil émis le", "public_hex": "Clé publique", "publication_id": "Publication",
    "published_at": "Publiée le", "pupils": "Élèves", "received_at": "Reçue le",
    "registered_at": "Enregistré le", "request_key": "Clé du formulaire", "requested_at": "Demandée le",
    "requested_by": "Demandée par", "resolution": "Résolution", "resource": "Ressource",
    "retired_at": "Retiré le", "revoked_at": "Révoqué le", "revoked_by": "Révoqué par", "role": "Rôle",
    "room_id": "Salle", "school_id": "École", "sealed_secret": "Secret du téléphone", "secret_hash": "Secret",
    "serial": "Numéro de série", "settings_digest": "Empreinte des réglages", "siren": "SIREN",
    "size": "Taille", "smbios_uuid": "UUID SMBIOS", "solved_at": "Résolu le", "source_id": "Source",
    "started_at": "Commencé le", "starts_at": "Début", "state": "État", "stopped_at": "Arrêtée le",
    "stopped_by": "Arrêtée par", "subject": "Objet", "threshold": "Seuil", "ticket_id": "Ticket",
    "to_collectivity_id": "Accordé à la collectivité", "to_school_id": "Accordé à l’école",
    "token_hash": "Secret", "token_id": "Code", "uai": "UAI", "updated_by": "Modifié par", "user_id": "Compte",
    "uses": "Usages", "value": "Valeur", "why": "Pourquoi",
}  # fmt: skip
FAMILIES: Mapping[tuple[str, str], str] = {
    ("collectivities", "kind"): "collectivity_kind",
    ("api_tokens", "role"): "role",
    ("devices", "kind"): "device_kind",
    ("devices", "platform"): "platform",
    ("devices", "status"): "device_status",
    ("enrollment_tokens", "kind"): "device_kind",
    ("enrollment_tokens", "platform"): "platform",
    ("ent_portals", "product"): "ent_product",
    ("filter_publications", "state"): "publication",
    ("filter_requests", "status"): "unblock",
    ("role_grants", "role"): "role",
    ("schools", "level"): "school_level",
    ("tickets", "kind"): "ticket_kind",
    ("tickets", "status"): "ticket_status",
    ("tickets", "subject"): "ticket_subject",
}
"""Columns whose values words.py knows."""
PATHS: Mapping[str, str] = {
    "collectivities": "/collectivities/",
    "devices": "/devices/",
    "filter_overrides": "/filtering/overrides/",
    "filter_requests": "/filtering/requests/",
    "filter_sources": "/filtering/sources/",
    "schools": "/schools/",
    "tickets": "/tickets/",
}
"""Where the row of an entry has a page."""


def action_word(action: str) -> Word:
    return ACTIONS.get(action, Word(action, "journal-text"))


def actor_word(kind: str) -> Word:
    return ACTORS.get(kind, ACTORS["unknown"])


def actor_name(entry: AuditEntry) -> str:
    """Who did it, as people say it."""
    return entry.actor_name or actor_word(entry.actor_kind).text


def table_name(table: str) -> str:
    return TABLES.get(table, table)


def path_of(entry: AuditEntry) -> str | None:
    """The page of what an entry tells of; None when there is none, or no longer."""
    if entry.row_id is None or entry.table_name not in PATHS or entry.action == "delete":
        return None
    return f"{PATHS[entry.table_name]}{entry.row_id}"


def changes_of(entry: AuditEntry) -> list[tuple[str, str, str]]:
    """Column, before, after, in French; columns by their French names."""
    before, after = entry.before or {}, entry.after or {}
    told = [
        (
            FIELDS.get(name, name),
            said(entry.table_name, name, before.get(name)),
            said(entry.table_name, name, after.get(name)),
        )
        for name in {**before, **after}
    ]
    return sorted(told)


def said(table: str, column: str, value: object) -> str:
    """One value in a few words."""
    if value == MASK:
        return "valeur non consignée"
    if isinstance(value, str) and (table, column) in FAMILIES:
        return words.word(FAMILIES[table, column], value).text
    if isinstance(value, str) and (at := _moment(value)) is not None:
        return words.moment(at)
    return filtering_words.said(value)


def _moment(value: str) -> datetime | None:
    """The moment that PostgreSQL wrote as JSON (``2026-11-24T11:00:00+00:00``), None for any other text."""
    if len(value) < 20 or value[10:11] != "T":
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo else None
