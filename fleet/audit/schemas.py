"""HTTP shapes of audit."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from fleet.audit.models import AuditEntry
from fleet.scope import Viewer


class EntryOut(BaseModel):
    """One entry. Secrets and what is too long are ``"***"``: that they changed is all that is said."""

    id: int
    number: int | None = Field(description="Place in the chain, without gaps.")
    hash: str | None = Field(description="Hexadecimal: chains this entry to all before it.")
    at: datetime
    actor_kind: str
    actor_id: str | None
    actor_name: str | None = Field(description="As it was then.")
    address: str | None = Field(description="Told to the operator's people only.")
    request_id: str | None
    operation: str | None
    transaction_id: int = Field(description="Entries of one transaction share it.")
    action: str
    table: str
    row: str | None
    subject: str | None
    collectivity_id: UUID | None
    school_id: UUID | None
    before: dict[str, Any] | None = Field(description="The columns that changed, as they were.")
    after: dict[str, Any] | None = Field(description="The same, as they are since.")

    @classmethod
    def of(cls, entry: AuditEntry, viewer: Viewer) -> Self:
        return cls(
            id=entry.id,
            number=entry.number,
            hash=entry.link.hash.hex() if entry.link else None,
            at=entry.at,
            actor_kind=entry.actor_kind,
            actor_id=entry.actor_id,
            actor_name=entry.actor_name,
            address=entry.address if viewer.sees_all else None,
            request_id=entry.request_id,
            operation=entry.operation,
            transaction_id=entry.transaction_id,
            action=entry.action,
            table=entry.table_name,
            row=entry.row_id,
            subject=entry.subject,
            collectivity_id=entry.collectivity_id,
            school_id=entry.school_id,
            before=entry.before,
            after=entry.after,
        )
