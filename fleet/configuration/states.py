"""How a device stands towards the state it should hold: a table of rules, the first that speaks wins. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime

from fleet.configuration.models import ResourceOutcome
from fleet.devices.models import TRACKED_KINDS, Device, DeviceStatus, Platform

Rule = Callable[[Device, Sequence[ResourceOutcome], datetime], str | None]
"""A French label when the rule speaks."""
AGENTLESS = frozenset({Platform.IPADOS, Platform.ANDROID})


def _out_of_service(device: Device, _outcomes: Sequence[ResourceOutcome], _now: datetime) -> str | None:
    if device.kind in TRACKED_KINDS:
        return "suivi, sans logiciel"
    return "hors service" if device.status in {DeviceStatus.LOST, DeviceStatus.RETIRED} else None


def _profile_issued(device: Device, _outcomes: Sequence[ResourceOutcome], _now: datetime) -> str | None:
    issued = device.platform in AGENTLESS and device.last_seen_at is None and device.profile_issued_at is not None
    return "profil émis" if issued else None


def _never_enrolled(device: Device, _outcomes: Sequence[ResourceOutcome], _now: datetime) -> str | None:
    return "pas encore préparé" if device.enrolled_at is None else None


def _silent(device: Device, _outcomes: Sequence[ResourceOutcome], now: datetime) -> str | None:
    return f"silencieux depuis {_duration(device.silent_since, now)}" if device.silent_since else None


def _failed(_device: Device, outcomes: Sequence[ResourceOutcome], _now: datetime) -> str | None:
    failed = [outcome.resource for outcome in outcomes if outcome.status == "failed"]
    return f"en échec : {', '.join(failed)}" if failed else None


def _applying(device: Device, _outcomes: Sequence[ResourceOutcome], _now: datetime) -> str | None:
    if device.last_seen_at is None:
        return "enrôlé, jamais vu"
    behind = device.desired_revision == "" or device.desired_revision != device.applied_revision
    return "en cours d’application" if behind else None


def _repaired(_device: Device, outcomes: Sequence[ResourceOutcome], _now: datetime) -> str | None:
    repaired = [outcome.resource for outcome in outcomes if outcome.status == "repaired"]
    return f"conforme, réparé : {', '.join(repaired)}" if repaired else None


RULES: tuple[tuple[str, Rule], ...] = (
    ("not_managed", _out_of_service),  # nothing else said of it would be true
    ("profile_issued", _profile_issued),  # a tablet that nothing reports on: never called applied
    ("not_managed", _never_enrolled),
    ("silent", _silent),  # what it last reported is old news
    ("failed", _failed),
    ("applying", _applying),
    ("drifted-repaired", _repaired),
)


def state_of(device: Device, outcomes: Sequence[ResourceOutcome], now: datetime) -> tuple[str, str]:
    """A stable code (see RULES; "conform" when no rule speaks) and French words."""
    spoken = ((code, label) for code, rule in RULES if (label := rule(device, outcomes, now)))
    return next(spoken, ("conform", "conforme"))


def _duration(since: datetime, now: datetime) -> str:
    minutes = max(0, int((now - since).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} jours"
