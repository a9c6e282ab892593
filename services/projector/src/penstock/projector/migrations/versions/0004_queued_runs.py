"""Runs that wait at a gate: they are there before they have started.

Pre-deploy: a release before this one always says when a run started.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take runs that have not started."""
    op.execute("alter table penstock.runs alter column started_at drop not null")


def downgrade() -> None:
    """Have runs that never started begin when they were asked for."""
    op.execute("update penstock.runs set started_at = created_at where started_at is null")
    op.execute("alter table penstock.runs alter column started_at set not null")
