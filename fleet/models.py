"""Every table, imported once: Alembic and the relationships between features need them all."""

from fleet.accounts import models as accounts
from fleet.audit import models as audit
from fleet.collectivities import models as collectivities
from fleet.configuration import models as configuration
from fleet.db import Base
from fleet.devices import models as devices
from fleet.enrollment import models as enrollment
from fleet.ent import models as ent
from fleet.filtering import models as filtering
from fleet.filtering.policy import models as filtering_policy
from fleet.filtering.previews import models as filtering_previews
from fleet.imports import models as imports
from fleet.jobs import models as jobs
from fleet.saved_filters import models as saved_filters
from fleet.schools import models as schools
from fleet.tickets import models as tickets

__all__ = [
    "Base",
    "accounts",
    "audit",
    "collectivities",
    "configuration",
    "devices",
    "enrollment",
    "ent",
    "filtering",
    "filtering_policy",
    "filtering_previews",
    "imports",
    "jobs",
    "saved_filters",
    "schools",
    "tickets",
]
