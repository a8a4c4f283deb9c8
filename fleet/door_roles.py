"""The database roles behind doors: made once a cluster, and given to the login that works through them."""

import logging
from collections.abc import Iterable

from psycopg.errors import DuplicateObject, InsufficientPrivilege, UniqueViolation
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from fleet.doors import Door
from fleet.errors import ConfigurationError

log = logging.getLogger(__name__)
WITH_OPTIONS = 160000
"""From this version on a membership says of itself whether it inherits and whether it may be taken on."""


def ensure(connection: Connection, login: str | None = None) -> None:
    """Make the roles that are missing and let the owner of the tables, and ``login``, work as each.

    Several databases of a cluster may do so at once. Raise ConfigurationError, with the statements that an
    administrator must run, when the owner may not.
    """
    owner = str(connection.exec_driver_sql("SELECT current_user").scalar())
    logins = [owner, *([login] if login and login != owner else [])]
    statements = [f"CREATE ROLE {role} NOLOGIN" for role in missing_roles(connection)]
    try:
        for statement in statements:
            _run(connection, statement)
        for each in logins:
            if doors := missing_memberships(connection, each):
                _run(connection, grant(doors, each))
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise refusal(logins, statements) from error


def missing_roles(connection: Connection) -> list[str]:
    """Doors that the cluster has no role for."""
    names = [door.value for door in Door]
    query = "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"
    found = set(connection.exec_driver_sql(query, (names,)).scalars())
    return [name for name in names if name not in found]


def missing_memberships(connection: Connection, login: str) -> list[str]:
    """Doors that a login cannot enter; the owner's own rows are reached by inheriting the operator's."""
    version = int(str(connection.exec_driver_sql("SHOW server_version_num").scalar()))
    taking_on = "SET" if version >= WITH_OPTIONS else "MEMBER"
    query = (
        "SELECT name FROM unnest(%s::text[]) name WHERE NOT pg_has_role(%s::name, name::name, %s)"
        " OR NOT pg_has_role(%s::name, name::name, 'USAGE')"
    )
    doors = [door.value for door in Door]
    return list(connection.exec_driver_sql(query, (doors, login, taking_on, login)).scalars())


def grant(doors: Iterable[str], login: str) -> str:
    return f'GRANT {", ".join(doors)} TO "{login}"'


def _run(connection: Connection, statement: str) -> None:
    """A statement on what all databases of the cluster share; another that was first is fine."""
    attempt = connection.begin_nested()
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError as error:
        attempt.rollback()
        if not isinstance(error.orig, DuplicateObject | UniqueViolation):
            raise
        log.info("made by somebody else meanwhile", extra={"statement": statement})
    else:
        attempt.commit()


def refusal(logins: Iterable[str], statements: Iterable[str]) -> ConfigurationError:
    """What an administrator of the cluster must do once, as statements to paste."""
    needed = [*statements, *(grant(Door, login) for login in logins)]
    told = "".join(f"\n  {statement};" for statement in needed)
    return ConfigurationError(
        "Le compte de la base n’a pas le droit de créer les rôles dont Préau a besoin. Un administrateur de PostgreSQL "
        f"les crée une fois, puis « preau migrate » est relancé :{told}"
    )
