"""Which tables leave an entry for every change, what of each stays unsaid, and which leave none, with the reason.

The one place that decides: fleet.audit.triggers makes the database's triggers from it at every migration. A table in
neither list fails the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Owner(StrEnum):
    """How the database finds the nodes whose people may read an entry, beside the operator's."""

    NONE = "none"
    """Nobody: the operator's alone."""
    ROW = "row"
    """The row's collectivity_id and school_id; without these, the school of its device_id."""
    COLLECTIVITY = "collectivity"
    """The row is a collectivity."""
    SCHOOL = "school"
    """The row is a school."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What entries tell of a table. Columns that are named nowhere are told in full."""

    owner: Owner
    label: str = "name"
    """The column that people call a row by; "" when there is none."""
    key: tuple[str, ...] = ("id",)
    masked: tuple[str, ...] = ()
    """Secrets, what a person may have forgotten elsewhere, and what is too long: only that they changed is said."""
    ignored: tuple[str, ...] = ()
    """Noise: a change of these alone leaves no entry, and entries never tell them."""


INDEXED = ("search_text", "updated_at")
"""Derived from the columns beside them, at the same time."""
NODE, NONE = Owner.ROW, Owner.NONE

AUDITED: Mapping[str, Audited] = {
    "users": Audited(
        NONE, label="email", masked=("password_hash",), ignored=("search_text", "last_signed_in_at", "has_password")
    ),
    "role_grants": Audited(NODE, label="role"),
    "second_factors": Audited(NONE, label="", key=("user_id",), masked=("sealed_secret",), ignored=("last_step",)),
    "api_tokens": Audited(NONE, masked=("token_hash",), ignored=("last_used_at",)),
    "oidc_identities": Audited(NONE, label="issuer"),
    "node_grants": Audited(NONE, label="reason"),
    "jobs": Audited(
        NODE, label="subject",
        ignored=(
            "search_text", "done", "total", "sentence", "attempts", "next_try_at",  # on its way
            "lease_token", "lease_until",
        ),
    ),
    "imports": Audited(NONE, ignored=("content", "columns", "report", "checked_at")),  # its digest and its job tell
    "collectivities": Audited(Owner.COLLECTIVITY, ignored=INDEXED),
    "collectivity_memberships": Audited(NONE, label="", key=("member_id", "group_id")),
    "former_communes": Audited(NONE, key=("insee_code",)),
    "schools": Audited(Owner.SCHOOL, ignored=INDEXED),
    "ent_portals": Audited(NONE),
    "ent_links": Audited(NONE, label="title"),
    "school_ents": Audited(NODE, label="", key=("school_id",)),
    "devices": Audited(
        NODE,
        ignored=(
            *INDEXED, "facts", "facts_hash", "agent_version", "last_seen_at", "silent_since",  # every check-in
            "desired_revision", "applied_revision",
        ),
    ),
    "device_credentials": Audited(NODE, label="", masked=("secret_hash",)),
    "enrollment_tokens": Audited(NODE, label="hint", masked=("secret_hash", "request_key")),
    "enrollments": Audited(NODE, label="", masked=("attempt_hash",)),
    "configuration_settings": Audited(NODE, label="resource", ignored=("updated_at",)),
    "filter_sources": Audited(
        NONE, label="title", ignored=("due_at", "checked_at", "outcome", "reason", "failures")  # how fetches went
    ),
    "filter_source_contents": Audited(
        NONE, label="", ignored=("etag", "last_modified", "size", "report", "doubts")  # grows while it comes
    ),
    "filter_publications": Audited(NONE, label="serial", ignored=("started_at", "attempts", "report")),
    "filter_signing_keys": Audited(NONE, label="public_hex", masked=("private_pem",)),
    "filter_nodes": Audited(
        NODE,
        masked=("secret_hash",),
        ignored=("last_seen_at", "version", "bundle_serial", "policy_serial", "health"),  # every report
    ),
    "filter_rooms": Audited(NODE),
    "filter_layers": Audited(NODE, label="", ignored=("updated_at",)),
    "filter_profiles": Audited(NONE, ignored=("updated_at",)),
    "filter_networks": Audited(NODE, label="cidr"),
    "filter_labels": Audited(NODE, label="", key=("device_id",)),
    "filter_schedules": Audited(NONE, ignored=("updated_at",)),
    "filter_overrides": Audited(NODE, label="reason"),
    "filter_name_lists": Audited(NODE, ignored=("updated_at",)),
    "filter_lessons": Audited(NODE, label="title"),
    # Who asked and why is forgotten after a year: entries, which outlive the row, never knew.
    "filter_requests": Audited(NODE, label="", masked=("contact", "reason", "name")),
    "filter_policies": Audited(NONE, label="serial", masked=("content", "decisions")),
    "filter_previews": Audited(
        NODE, label="subject", masked=("policy",),
        ignored=("attempts", "ends_at", "base_names", "base_policy", "names_tag", "policy_tag", "delta_size"),
    ),
    "tickets": Audited(NODE, label="title", masked=("request_key",), ignored=INDEXED),
    # Some are for the operator's staff only: so is the history of all of them.
    "ticket_follow_ups": Audited(NONE, label="", masked=("request_key",)),
}  # fmt: skip

NOT_AUDITED: Mapping[str, str] = {
    "saved_filters": "what a person looks for: nobody else's business, and no change of anything",
    "import_mappings": "how files of a shape were read last: each import tells its own",
    "audit_entries": "the log itself",
    "audit_links": "the log itself",
    "audit_head": "the log itself",
    "web_sessions": "signing in, out and anew leaves entries of its own; expired rows are swept",
    "pending_sign_ins": "a sign-in that is not done yet",
    "oidc_flows": "a sign-in that is not done yet",
    "known_browsers": "tells whose guesses are whose",
    "recovery_codes": "making and using them leaves entries of its own",
    "account_letters": "a queue: what is owed, tried and sent; inviting and choosing a password leave entries",
    "sign_in_failures": "a counter that limits guesses, forgotten after minutes",
    "enrollment_failures": "a counter that limits guesses, forgotten after minutes",
    "resource_outcomes": "what devices report at every check-in",
    "device_events": "a tale of changes that have entries of their own",
    "ticket_events": "a tale of changes that have entries of their own",
    "filter_events": "a tale of changes that have entries of their own",
    "ticket_mails": "a queue: what is owed, tried and sent",
    "filter_counts": "counters that filters send",
    "filter_publication_chunks": "pieces of a file whose digest has an entry",
    "filter_publication_deltas": "made from files whose digests have entries",
    "filter_delta_chunks": "made from files whose digests have entries",
    "filter_content_chunks": "pieces of a file whose digest has an entry",
    "filter_preview_chunks": "made from files whose digests have entries",
    "filter_preview_answers": "what filters found, forgotten after a week",
}
"""Table -> why its changes leave no entry."""

MASK = "***"
"""What entries hold in place of a masked value; an empty one stays empty."""
