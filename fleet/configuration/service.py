"""What each device should look like: layers from the département down to the device, and how it went."""

import base64
import logging
import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

import netaddr
from sqlalchemy import and_, delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from agent.protocol import Bookmark, DesiredState, Shortcut
from fleet.config import FleetConfig
from fleet.configuration.layers import Explained, Layer, Merged, Value, build, entries_of, merge
from fleet.configuration.models import ResourceOutcome, Setting
from fleet.configuration.resources import kind_of, parse
from fleet.configuration.states import state_of as state_of
from fleet.devices import events
from fleet.devices.models import Device, DeviceKind, Platform
from fleet.ent import service as ent
from fleet.ent.models import EntPortal
from fleet.errors import Invalid, NotFound
from fleet.schools.models import School
from fleet.scope import Action, Viewer

log = logging.getLogger(__name__)

WITH_BROWSER = frozenset({DeviceKind.DISPLAY, DeviceKind.TABLET, DeviceKind.LAPTOP, DeviceKind.DESKTOP})
"""Kinds that people browse with; a gateway serves them and shows nothing."""
PRIVATE_ENDINGS = ("local", "localhost", "lan", "home", "internal", "intranet", "test", "example", "invalid", "arpa")


def desired_state_for(session: Session, device: Device, config: FleetConfig) -> DesiredState:
    """The state that a device should hold now; the same settings give the same revision."""
    return build(
        merge(list(layers_for(session, device.school_id, device, config))),
        doh_template=doh_template_for(device, config),
        ca_certificates=ca_certificates(config),
    )


def school_state_for(session: Session, school_id: UUID, config: FleetConfig) -> DesiredState:
    """What any device of a school gets before it is known: without what is a device's own (DNS over HTTPS)."""
    merged = merge(list(layers_for(session, school_id, None, config)))
    return build(merged, doh_template="", ca_certificates=())


def explain(
    session: Session, config: FleetConfig, *, school_id: UUID | None, device: Device | None
) -> Sequence[Explained]:
    """Every value of the state of a device (or of any display of a school), with the layer that set it."""
    merged: Merged = merge(list(layers_for(session, school_id, device, config)))
    return list(merged.paths.values())


def layers_for(session: Session, school_id: UUID | None, device: Device | None, config: FleetConfig) -> Iterator[Layer]:
    """The layers that speak for a device, lowest first. ``device`` None: any Linux display of that school."""
    kind = device.kind if device else DeviceKind.DISPLAY
    if kind not in WITH_BROWSER:
        return
    stored = _settings(session, school_id, device.id if device else None)
    platform = device.platform if device else Platform.LINUX
    yield Layer("default", "réglage d’origine", tuple(_defaults(platform, config)))
    yield _stored_layer("department", "département", stored, None, None)
    if school_id is not None:
        if (portal := ent.find_portal(session, school_id)) is not None:
            yield Layer("ent", portal.name, tuple(_portal_entries(portal)))
        yield _stored_layer("school", "école", stored, school_id, None)
    if device is not None:
        yield _stored_layer("device", "appareil", stored, None, device.id)


def _settings(session: Session, school_id: UUID | None, device_id: UUID | None) -> list[Setting]:
    everywhere = and_(Setting.school_id.is_(None), Setting.device_id.is_(None))
    mine = [everywhere]
    mine += [Setting.school_id == school_id] if school_id is not None else []
    mine += [Setting.device_id == device_id] if device_id is not None else []
    return list(session.scalars(select(Setting).where(or_(*mine)).order_by(Setting.resource)))


def _stored_layer(
    name: str, label: str, stored: Sequence[Setting], school_id: UUID | None, device_id: UUID | None
) -> Layer:
    own = [s for s in stored if s.school_id == school_id and s.device_id == device_id]
    return Layer(name, label, tuple(entry for setting in own for entry in _said(setting)))


def _said(setting: Setting) -> Sequence[tuple[str, Value]]:
    """What a stored setting says; nothing, when the rules became stricter after it was written."""
    try:
        return list(entries_of(parse(setting.resource, setting.value)))
    except Invalid as error:
        log.warning("setting ignored", extra={"setting": str(setting.id), "reason": error.detail})
        return []


def _defaults(platform: Platform, config: FleetConfig) -> Iterator[tuple[str, Value]]:
    yield "browser.managed", True
    yield "browser.doh", config.doh_template is not None
    if platform is Platform.LINUX and config.dns_addresses:
        yield "dns.managed", True
        yield "dns.servers", config.dns_addresses


def _portal_entries(portal: EntPortal) -> Iterator[tuple[str, Value]]:
    yield "shortcuts.ent", Shortcut("ent", portal.name, portal.url)
    for link in portal.links:
        yield f"shortcuts.ent-{link.slug}", Shortcut(f"ent-{link.slug}", link.title, link.url)
    yield "browser.home_page", portal.url
    yield f"browser.bookmarks.{portal.url}", Bookmark(portal.name, portal.url)
    for link in portal.links:
        yield f"browser.bookmarks.{link.url}", Bookmark(link.title, link.url)


def doh_template_for(device: Device, config: FleetConfig) -> str:
    """The device's own DNS over HTTPS address, or "" when there is no such service."""
    return (config.doh_template or "").replace("{label}", device.label)


def is_public(url: str) -> bool:
    """Whether a stock device anywhere can reach and trust this address: HTTPS, a public name, no private ending."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return False
    if netaddr.valid_ipv4(host) or netaddr.valid_ipv6(host):
        return bool(netaddr.IPAddress(host).is_global())
    return "." in host and host.rpartition(".")[2] not in PRIVATE_ENDINGS


def ca_certificates(config: FleetConfig) -> tuple[str, ...]:
    """Base64 DER of our own CA when browsers need it to trust our DNS over HTTPS, else nothing."""
    if config.ca_file is None or not config.doh_template or is_public(config.doh_template):
        return ()
    der = ssl.PEM_cert_to_DER_cert(config.ca_file.read_text(encoding="ascii"))
    return (base64.b64encode(der).decode(),)


def set_value(
    session: Session,
    viewer: Viewer,
    resource: str,
    value: Mapping[str, object],
    *,
    school: School | None = None,
    device: Device | None = None,
    now: datetime,
) -> Setting:
    """Write a resource of one layer (neither school nor device: the département), in place of what it said before.

    Raise Invalid for a value that breaks a rule, NotAllowed when the layer is not the viewer's. ``device`` comes with
    its school loaded.
    """
    checked = parse(resource, value).model_dump(exclude_unset=True)
    must_configure(viewer, school, device)
    row = insert(Setting).values(
        school_id=school.id if school else None,
        device_id=device.id if device else None,
        resource=resource,
        value=checked,
        updated_at=now,
        updated_by=viewer.name,
    )
    written = row.on_conflict_do_update(
        index_elements=[Setting.school_id, Setting.device_id, Setting.resource],
        set_={"value": row.excluded.value, "updated_at": now, "updated_by": viewer.name},
    ).returning(Setting)
    if device is not None:
        events.note(session, device, "configured", resource, now, viewer.name)
    return session.scalars(written, execution_options={"populate_existing": True}).one()


def clear_value(
    session: Session,
    viewer: Viewer,
    resource: str,
    *,
    school: School | None = None,
    device: Device | None = None,
    now: datetime,
) -> None:
    """Make a layer silent about a resource; raise NotFound when it said nothing."""
    kind_of(resource)
    must_configure(viewer, school, device)
    gone = session.scalar(
        delete(Setting)
        .where(
            Setting.school_id == school.id if school else Setting.school_id.is_(None),
            Setting.device_id == device.id if device else Setting.device_id.is_(None),
            Setting.resource == resource,
        )
        .returning(Setting.id)
    )
    if gone is None:
        raise NotFound("configuration.not_set", "Ce réglage n’est pas posé ici : il n’y a rien à enlever.")
    if device is not None:
        events.note(session, device, "configured", f"{resource} : réglage propre enlevé", now, viewer.name)


def must_configure(viewer: Viewer, school: School | None, device: Device | None) -> None:
    """Raise NotAllowed unless the viewer configures that layer (``device`` with its school loaded)."""
    place = school or (device.school if device else None)
    viewer.must(Action.CONFIGURE, place.collectivity_id if place else None, place.id if place else None)


def list_outcomes(session: Session, device_id: UUID) -> Sequence[ResourceOutcome]:
    """How each resource went on a device, as it last reported."""
    query = select(ResourceOutcome).where(ResourceOutcome.device_id == device_id)
    return session.scalars(query.order_by(ResourceOutcome.resource)).all()


def forget_outcomes(session: Session, device: Device) -> None:
    """What a device reported before it was reset says nothing of it now."""
    session.execute(delete(ResourceOutcome).where(ResourceOutcome.device_id == device.id))
