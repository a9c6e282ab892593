"""What the whole language needs of runs and steps: loops, expression edges, children, forks.

Pre-deploy: columns that a release before this one neither writes nor misses.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = """
alter table penstock.runs
    add column evaluating integer not null default 0,
    add column parent_step_id text;
comment on column penstock.runs.total is
    'nodes of the definition and of opened iterations; null while that is unknown';
comment on column penstock.runs.evaluating is
    'evaluations that are owed, but for those that stand in the rows of loops';
comment on column penstock.runs.parent_step_id is 'the step of that run which waits for this one';
alter table penstock.run_steps
    add column edges json,
    add column items json,
    add column loop json;
comment on column penstock.run_steps.edges is
    'numbers of the EXPRESSION edges that came to true';
comment on column penstock.run_steps.items is 'payload: what a loop goes over';
comment on column penstock.run_steps.loop is
    'of a loop: {opened, evaluating}: its iterations, and what is owed to itself';
"""


def upgrade() -> None:
    """Add the columns; the rows that are there have nothing to say in them."""
    op.execute(COLUMNS)


def downgrade() -> None:
    """Forget them; the log has what they say."""
    op.execute("alter table penstock.runs drop column evaluating, drop column parent_step_id")
    op.execute("alter table penstock.run_steps drop column edges, drop column items")
    op.execute("alter table penstock.run_steps drop column loop")
