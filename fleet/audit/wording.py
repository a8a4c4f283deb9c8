"""An entry as a line of a spreadsheet."""

import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from fleet.audit.models import AuditEntry

PARIS = ZoneInfo("Europe/Paris")
COLUMNS = (
    "numero", "date", "auteur", "genre", "adresse", "operation", "action", "table", "identifiant", "objet",
    "avant", "apres", "transaction", "requete", "empreinte",
)  # fmt: skip


def cells_of(entry: AuditEntry, *, with_address: bool = True) -> tuple[object, ...]:
    """Its values under COLUMNS; addresses are the operator's to know."""
    return (
        entry.number,
        entry.at.astimezone(PARIS).strftime("%d/%m/%Y %H:%M:%S"),
        entry.actor_name,
        entry.actor_kind,
        entry.address if with_address else None,
        entry.operation,
        entry.action,
        entry.table_name,
        entry.row_id,
        entry.subject,
        _as_text(entry.before),
        _as_text(entry.after),
        str(entry.transaction_id),
        entry.request_id,
        entry.link.hash.hex() if entry.link else None,
    )


def _as_text(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
