"""Who reaches which rows: one entry for each table. `fleet.row_security` makes PostgreSQL's policies of it.

Below `visible_to`, which every query passes, stands this: were a query to forget it, PostgreSQL would show no other
rows all the same. Programs' doors reach the tables they are given here, whole; the operator's staff (`Door.STAFF`)
every row of theirs; everybody else (`Door.WEB`) the rows of the scope that `fleet.accounts.sight` found for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.doors import Door

MINE = "(SELECT preau_user())"
COLLECTIVITIES = "(SELECT preau_collectivities())::uuid[]"
SCHOOLS = "(SELECT preau_schools())::uuid[]"
RUNNING = "(SELECT preau_running())::uuid[]"
NAMED = "(SELECT preau_named())::uuid[]"
HANDLES = "(SELECT preau_handles())"
"""Settings of the transaction (fleet.doors.Scope), each read once a query: as sub-selects they are plans of their own,
and indexes serve what is compared with them.
"""
EVERYBODY = "true"
NOBODY = "false"


def in_schools(column: str = "school_id") -> str:
    return f"{column} = ANY ({SCHOOLS})"


def in_collectivities(column: str = "collectivity_id") -> str:
    return f"{column} = ANY ({COLLECTIVITIES})"


def through_parent(column: str, table: str) -> str:
    """The rows whose parent may be reached: PostgreSQL applies the parent's own policy to this look."""
    return f"{column} IN (SELECT id FROM {table})"  # noqa: S608 - our own names


ON_NODE = f"({in_schools()} OR {in_collectivities()})"
"""Of a row that hangs on a school or on a collectivity."""
OPERATORS = "(school_id IS NULL AND collectivity_id IS NULL)"
"""Of such a row: it is the operator's."""
ABOVE = f"({OPERATORS} OR collectivity_id = ANY ({RUNNING}))"
"""Of such a row: what it decides holds in schools of the scope."""

OF_TICKETS = "id IN (SELECT collectivity_id FROM tickets)"
"""Of a collectivity: a ticket stays with whose it was when its school is another's."""

Verbs = str
"""``r`` read, ``a`` add, ``w`` write, ``d`` delete: the letters of PostgreSQL's own access lists."""
ALL: Verbs = "rawd"
EVERYTHING = frozenset({Door.JOBS, Door.OPERATOR})
"""Doors of programs that do whatever there is to do."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Who reaches the rows of one table, and what they may do to them. Jobs and commands: everything, everywhere."""

    own: str = NOBODY
    """The rows of the scope, in SQL: read, and written by whom ``doors`` lets write. New rows must be of them too."""
    shown: str = NOBODY
    """Rows of the scope that are only read."""
    doors: Mapping[Door, Verbs] = field(default_factory=dict)
    secret: tuple[str, ...] = ()
    """Columns that people's doors never read, whoever the row belongs to."""
    is_log: bool = False
    """Only read: what adds to it has its owner's rights (fleet.audit)."""

    def verbs(self, door: Door) -> Verbs:
        if door in EVERYTHING:
            return "r" if self.is_log else ALL
        return self.doors.get(door, "")


def people(web: Verbs, staff: Verbs | None = None, **programs: Verbs) -> dict[Door, Verbs]:
    """What people may do (``staff`` the same unless it says otherwise), and programs: gate, devices, filters."""
    doors = {Door.WEB: web, Door.STAFF: web if staff is None else staff}
    return doors | {Door[name.upper()]: verbs for name, verbs in programs.items()}


RULES: Mapping[str, Rows] = {
    # Accounts: who is there is found at the gate; afterwards a person is shown names, never a secret.
    "users": Rows(
        own=f"id = {MINE}",
        shown="id IN (SELECT opened_by_id FROM tickets) OR id IN (SELECT assigned_to_id FROM tickets)",
        doors=people("r", ALL, gate="rw"),
        secret=("password_hash",),
    ),
    "role_grants": Rows(own=f"user_id = {MINE}", doors=people("r", ALL, gate="r")),
    "web_sessions": Rows(own=f"user_id = {MINE}", doors=people("rd", gate=ALL), secret=("token_hash", "csrf_token")),
    "pending_sign_ins": Rows(own=f"user_id = {MINE}", doors=people("rd", gate=ALL), secret=("token_hash",)),
    "known_browsers": Rows(doors=people("", "rd", gate=ALL), secret=("token_hash",)),
    "sign_in_failures": Rows(doors={Door.GATE: ALL}),
    "second_factors": Rows(own=f"user_id = {MINE}", doors=people("r", gate=ALL), secret=("sealed_secret",)),
    "recovery_codes": Rows(own=f"user_id = {MINE}", doors=people("r", gate=ALL), secret=("code_hash",)),
    "account_letters": Rows(doors=people("", "raw", gate="raw"), secret=("token_hash",)),
    "api_tokens": Rows(own=f"user_id = {MINE}", doors=people("raw", gate="rw"), secret=("token_hash",)),
    "oidc_identities": Rows(own=f"user_id = {MINE}", doors=people("r", gate="ra")),
    "oidc_flows": Rows(doors={Door.GATE: ALL}),
    "node_grants": Rows(doors=people("", "raw", gate="r")),
    "saved_filters": Rows(own=f"user_id = {MINE}", doors=people(ALL)),
    # Jobs, and the files that some of them take: the operator's
    "jobs": Rows(own=ON_NODE, doors=people("raw")),
    "imports": Rows(doors=people("", "raw")),
    "import_mappings": Rows(doors=people("", "raw")),
    # Audit: numbers and hashes of the chain tell nothing of what they chain
    "audit_entries": Rows(shown=ON_NODE, doors=people("r"), is_log=True),
    "audit_links": Rows(shown=EVERYBODY, doors=people("r"), is_log=True),
    "audit_head": Rows(doors=people("", "r"), is_log=True),
    # Places
    "collectivities": Rows(
        own=in_collectivities("id"),
        shown=f"id = ANY ({NAMED}) OR {OF_TICKETS}",
        doors=people("r", ALL, gate="r", devices="r", filters="r"),
    ),
    "collectivity_memberships": Rows(own=in_collectivities("member_id"), doors=people("r", ALL, gate="r")),
    "former_communes": Rows(doors=people("", ALL)),
    "schools": Rows(own=in_schools("id"), doors=people("r", ALL, gate="r", devices="r", filters="r")),
    # ENT: the catalogue is public
    "ent_portals": Rows(shown=EVERYBODY, doors=people("r", ALL, devices="r")),
    "ent_links": Rows(shown=EVERYBODY, doors=people("r", ALL, devices="r")),
    "school_ents": Rows(own=in_schools(), doors=people(ALL, devices="r")),
    # Devices
    "devices": Rows(own=in_schools(), doors=people("raw", ALL, devices="raw", filters="r")),
    "device_credentials": Rows(
        own=through_parent("device_id", "devices"), doors=people("rw", devices="raw"), secret=("secret_hash",)
    ),
    "device_events": Rows(own=in_schools(), doors=people("ra", devices="ra")),
    # Configuration: what the département says holds everywhere, and is the staff's to change
    "configuration_settings": Rows(
        own=f"{in_schools()} OR {through_parent('device_id', 'devices')}",
        shown="school_id IS NULL AND device_id IS NULL",
        doors=people(ALL, devices="r"),
    ),
    "resource_outcomes": Rows(own=through_parent("device_id", "devices"), doors=people("r", devices=ALL)),
    # Enrolment
    "enrollment_tokens": Rows(own=in_schools(), doors=people("raw", devices="rw")),
    "enrollments": Rows(doors={Door.DEVICES: "ra"}),
    "enrollment_failures": Rows(doors={Door.DEVICES: "ra"}),
    # Tickets
    "tickets": Rows(own=ON_NODE, doors=people("raw")),
    "ticket_events": Rows(own=through_parent("ticket_id", "tickets"), doors=people("ra")),
    "ticket_follow_ups": Rows(
        own=f"(is_public OR {HANDLES}) AND {through_parent('ticket_id', 'tickets')}", doors=people("ra")
    ),
    "ticket_mails": Rows(own=f"{HANDLES} AND {through_parent('ticket_id', 'tickets')}", doors=people("r", "ra")),
    # Filtering: what nodes decide; a school is shown what those above it decided for it
    "filter_rooms": Rows(own=in_schools(), doors=people(ALL, filters="r")),
    "filter_layers": Rows(own=ON_NODE, shown=ABOVE, doors=people(ALL, filters="r")),
    "filter_overrides": Rows(own=ON_NODE, shown=ABOVE, doors=people("raw")),
    "filter_name_lists": Rows(own=in_schools(), shown="school_id IS NULL", doors=people(ALL)),
    "filter_lessons": Rows(own=in_schools(), doors=people("raw")),
    "filter_networks": Rows(own=in_schools(), doors=people("rad", ALL)),
    "filter_labels": Rows(own=through_parent("device_id", "devices"), doors=people(ALL)),
    "filter_requests": Rows(own=in_schools(), doors=people("raw", filters="ra")),
    "filter_events": Rows(own=ON_NODE, doors=people("ra", filters="ra")),
    # Filtering: what is the same for everybody
    "filter_profiles": Rows(shown=EVERYBODY, doors=people("r", ALL, filters="r")),
    "filter_schedules": Rows(shown=EVERYBODY, doors=people("r", ALL)),
    "filter_publications": Rows(shown=EVERYBODY, doors=people("r", "raw", filters="r")),
    # Filtering: the operator's own
    "filter_publication_chunks": Rows(doors=people("", "r", filters="r")),
    "filter_publication_deltas": Rows(doors={Door.FILTERS: "r"}),
    "filter_delta_chunks": Rows(doors={Door.FILTERS: "r"}),
    "filter_signing_keys": Rows(),
    "filter_sources": Rows(doors=people("", ALL)),
    "filter_source_contents": Rows(doors=people("", ALL)),
    "filter_content_chunks": Rows(doors=people("", ALL)),
    "filter_nodes": Rows(doors=people("", "r", filters="rw"), secret=("secret_hash",)),
    "filter_counts": Rows(doors=people("", "r", filters="raw")),
    "filter_policies": Rows(doors=people("", "r", filters="r")),
    "filter_previews": Rows(doors=people("", ALL, filters="rw")),
    "filter_preview_chunks": Rows(doors=people("", ALL, filters="rd")),
    "filter_preview_answers": Rows(doors=people("", "r", filters="ra")),
}
"""Table -> who reaches its rows. A table that is missing here is nobody's: a test fails until it has its line."""

SEQUENCES: Mapping[str, tuple[Door, ...]] = {"asset_numbers": (Door.WEB, Door.STAFF, Door.DEVICES)}
"""Sequences that doors draw from by name; identity columns need no right. Jobs and commands: every one."""
