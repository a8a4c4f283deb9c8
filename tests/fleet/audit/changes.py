"""Changes that leave an entry each; imported by processes that should start at once."""

import uuid

from sqlalchemy import Connection, text

ADD = text(
    "INSERT INTO collectivities (id, kind, name, postcodes, search_text) VALUES (:id, 'commune', :name, '[]', '')"
)
RENAME = text("UPDATE collectivities SET name = :name WHERE id = :id")


def add_commune(connection: Connection, name: str) -> uuid.UUID:
    identifier = uuid.uuid4()
    connection.execute(ADD, {"id": identifier, "name": name})
    return identifier
