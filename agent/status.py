"""What `preau-agent status` says: to a person, or to a program. Never the credential."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from agent.enrollment import get_identity
from agent.errors import RootNotWritable
from agent.identity import DeviceIdentity
from agent.state import State, find_contact, load_state

RESOURCES = {"shortcuts": "raccourcis", "browser": "navigateurs", "dns": "DNS"}
STATUSES = {
    "unchanged": "conforme",
    "applied": "mis en place",
    "repaired": "rétabli",
    "failed": "en échec",
    "unsupported": "impossible ici",
}


def as_text(root: Path) -> str:
    """Several lines for a person. Raises NotEnrolled."""
    identity, state, contact = read(root)
    lines = [
        f"Appareil    : {identity.asset_tag or identity.device_id}",
        f"École       : {identity.school or 'inconnue'}",
        f"Contrôleur  : {identity.controller}",
        f"Contact     : {f'{contact.astimezone():%d/%m/%Y %H:%M:%S}' if contact else 'jamais'}",
        f"Révision    : {identity.applied_revision or 'aucune'}{pending(identity, state)}",
        *outcome_lines(state),
    ]
    if state.queue:
        lines.append(f"{len(state.queue)} résultat(s) à rapporter au prochain contact")
    return "\n".join(lines)


def as_json(root: Path) -> str:
    """One JSON object. Raises NotEnrolled."""
    identity, state, contact = read(root)
    document = {
        "device_id": identity.device_id,
        "asset_tag": identity.asset_tag,
        "school": identity.school,
        "controller": identity.controller,
        "applied_revision": identity.applied_revision,
        "desired_revision": state.desired.revision if state.desired else "",
        "last_contact": contact.isoformat(timespec="seconds") if contact else None,
        "outcomes": {o.resource: {"status": o.status, "detail": o.detail, "at": o.at} for o in state.latest},
        "queued": len(state.queue),
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


def read(root: Path) -> tuple[DeviceIdentity, State, datetime | None]:
    try:
        return get_identity(root), load_state(root), find_contact(root)
    except PermissionError as error:
        raise RootNotWritable(f"{error.filename} n’est lisible que par root : relancez avec sudo.") from error


def pending(identity: DeviceIdentity, state: State) -> str:
    if state.desired is None or state.desired.revision == identity.applied_revision:
        return ""
    return f" (demandée : {state.desired.revision})"


def outcome_lines(state: State) -> Iterator[str]:
    """``raccourcis : conforme``, one line a resource."""
    for outcome in state.latest:
        name = RESOURCES.get(outcome.resource, outcome.resource)
        detail = f" ({outcome.detail})" if outcome.detail else ""
        yield f"{name:<12}: {STATUSES.get(outcome.status, outcome.status)}{detail}"
