"""The collectivities of the database during an import: looked up by their codes, completed, kept unambiguous."""

import re
import uuid
from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fleet.collectivities.models import Collectivity, CollectivityKind, FormerCommune, Membership
from fleet.importing import Cells, FieldChange, RowRefused, assign
from fleet.table_reader import quote
from fleet.text import fold

NAMES = {
    "name": "nom",
    "siren": "SIREN",
    "population": "population",
    "postcodes": "codes postaux",
    "legal_form": "forme",
}


def read_insee(cells: Cells, name: str) -> str:
    """A commune's INSEE code; refuse the row when it is none, with the code that a spreadsheet cut short."""
    code = cells.required(name).upper()
    if re.fullmatch("([0-9]{2}|2[AB])[0-9]{3}", code):
        return code
    hint = f" (zéro de tête perdu par un tableur ? 0{code})" if re.fullmatch("[0-9]{4}", code) else ""
    raise RowRefused(f"code INSEE {quote(code)} mal formé : cinq chiffres, ou 2A ou 2B et trois chiffres{hint}")


def read_siren(cells: Cells, name: str) -> str | None:
    """A SIREN, its key (Luhn) checked; None when the cell is empty."""
    siren = "".join((cells.text(name) or "").split())
    if not siren:
        return None
    if re.fullmatch("[0-9]{9}", siren) is None:
        raise RowRefused(f"SIREN {quote(siren)} mal formé : neuf chiffres")
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(siren))
    if sum(n - 9 if n > 9 else n for n in doubled) % 10:
        raise RowRefused(f"SIREN {siren} : sa clé est fausse, un chiffre a dû changer")
    return siren


def search_text(row: Collectivity, *former_names: str) -> str:
    """What a search looks through; begins with the name, by which lists are sorted."""
    return fold(row.name, row.insee_code, row.siren, *row.postcodes, *sorted(former_names))


class Register:
    """The collectivities and memberships of the database, looked up and completed during one import."""

    def __init__(self, session: Session) -> None:
        self.session = session
        rows = session.scalars(select(Collectivity)).all()
        self.by_insee = {row.insee_code: row for row in rows if row.insee_code is not None}
        self.by_siren = {row.siren: row for row in rows if row.siren is not None}
        self.by_id = {row.id: row for row in rows}
        self.epci_of = {
            member: self.by_id[group]
            for member, group in session.execute(select(Membership.member_id, Membership.group_id))
            if self.by_id[group].kind is CollectivityKind.EPCI
        }
        self.former: dict[uuid.UUID, list[str]] = {}
        for former in session.scalars(select(FormerCommune).order_by(FormerCommune.insee_code)):
            self.former.setdefault(former.commune_id, []).append(former.name)
        self.seen: dict[str, int] = {}
        self.moved: dict[uuid.UUID, tuple[uuid.UUID | None, uuid.UUID]] = {}

    def claim(self, what: str, code: str, line: int) -> None:
        """Refuse the row when an earlier line of the file was about the same thing."""
        first = self.seen.setdefault(code, line)
        if first != line:
            raise RowRefused(f"{what} {code} : déjà vu ligne {first}")

    def check_siren(self, siren: str | None, row: Collectivity | None) -> None:
        """Refuse the row when its SIREN is another collectivity's."""
        other = self.by_siren.get(siren or "")
        if other is not None and other is not row:
            raise RowRefused(f"SIREN {siren} : c’est celui de {other.name}")

    def save(
        self, row: Collectivity | None, values: Mapping[str, object], **key: object
    ) -> tuple[Collectivity, tuple[FieldChange, ...]]:
        """Create or change a collectivity, and keep the look-ups true."""
        if row is None:
            row = Collectivity(id=uuid.uuid4(), postcodes=[], **key)
            self.session.add(row)
            self.by_id[row.id] = row
        changes = assign(row, values, NAMES)
        assign(row, {"search_text": search_text(row, *self.former.get(row.id, []))}, NAMES)
        if row.siren is not None:
            self.by_siren[row.siren] = row
        if row.insee_code is not None:
            self.by_insee[row.insee_code] = row
        return row, changes

    def join(self, commune: Collectivity, epci: Collectivity | None) -> tuple[FieldChange, ...]:
        """Put a commune into an EPCI, which it leaves any other for. None says nothing."""
        before = self.epci_of.get(commune.id)
        if epci is None or epci is before:
            return ()
        self.epci_of[commune.id] = epci
        self.moved[commune.id] = (before.id if before else None, epci.id)
        return (FieldChange("EPCI", before.name if before else "(vide)", epci.name),)

    def write_memberships(self) -> None:
        """Write what `join` noted, once the rows on both sides are there."""
        self.session.flush()
        for member, (before, after) in self.moved.items():
            if before is not None:
                self.session.execute(
                    delete(Membership).where(Membership.member_id == member, Membership.group_id == before)
                )
            self.session.add(Membership(member_id=member, group_id=after))
