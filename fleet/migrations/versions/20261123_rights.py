"""rights: roles on nodes for a while, and sight of a node granted to another until a date

Database roles, rights on tables and row-level security are no part of any revision: `preau migrate` makes them of
fleet.row_rules once the last revision is applied.
"""

import sqlalchemy as sa
from alembic import op

from fleet import row_security

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NODES = ("to_collectivity_id", "to_school_id", "collectivity_id", "school_id")


def upgrade() -> None:
    for name in ("starts_at", "ends_at"):
        op.add_column("role_grants", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("ck_role_grants_ends_after_start"), "role_grants", "ends_at > starts_at")
    op.create_table(
        "node_grants",
        *(sa.Column(name, sa.Uuid(), nullable=True) for name in NODES),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(to_collectivity_id, to_school_id) = 1", name=op.f("ck_node_grants_one_grantee")
        ),
        sa.CheckConstraint("num_nonnulls(collectivity_id, school_id) = 1", name=op.f("ck_node_grants_one_node")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_node_grants_ends_after_start")),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{table}.id"], name=op.f(f"fk_node_grants_{name}_{table}"), ondelete="CASCADE"
            )
            for name in NODES
            for table in ("schools" if name.endswith("school_id") else "collectivities",)
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_grants")),
    )
    for name in (*NODES, "ends_at"):
        op.create_index(op.f(f"ix_node_grants_{name}"), "node_grants", [name])


def downgrade() -> None:
    row_security.take_away(op.get_bind())  # the version before works as the tables' owner
    op.drop_table("node_grants")
    op.drop_constraint(op.f("ck_role_grants_ends_after_start"), "role_grants", type_="check")
    for name in ("ends_at", "starts_at"):
        op.drop_column("role_grants", name)
