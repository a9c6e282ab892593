"""What removes runs that ended too long ago: their rows, and what their messages say.

The archive keeps a row for each message, without its body: hashes, moments and ids stay, so that
every chain can be followed as before. Only the projector may ask for it, and only for what ended a
day ago or earlier: nothing of a run that goes on, and nothing of the registry, can be removed.

Pre-deploy: a function that nobody knew.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

EMPTY = "the message, byte for byte; empty when kept no more"

EXPIRE = """
create function penstock.expire_runs(tenant uuid, before timestamptz, at_most integer)
returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
declare
    gone uuid[];
begin
    before := least(before, now() - interval '1 day');
    select array_agg(r.id) into gone from (
        select id from penstock.runs
        where tenant_id = tenant and created_at < before and finished_at < before
          and status not in ('queued', 'running', 'paused', 'waiting')
        order by created_at, id limit least(at_most, 1000) for update skip locked
    ) r;
    if gone is null then
        return 0;
    end if;
    delete from penstock.run_tags t using penstock.runs r
    where r.tenant_id = tenant and r.id = any (gone) and t.tenant_id = tenant
      and t.tag = any (r.tags) and t.created_at = r.created_at and t.run_id = r.id;
    delete from penstock.run_steps where tenant_id = tenant and run_id = any (gone);
    delete from penstock.runs where tenant_id = tenant and id = any (gone);
    update penstock.event_archive set body = ''
    where tenant_id = tenant and log = 'events' and kind = 'run'
      and subject_id = any (gone::text[]);
    return array_length(gone, 1);
end $body$;

revoke all on function penstock.expire_runs(uuid, timestamptz, integer) from public;
grant execute on function penstock.expire_runs(uuid, timestamptz, integer) to penstock_projector;
"""


def upgrade() -> None:
    """Make the function."""
    op.execute(f"comment on column penstock.event_archive.body is '{EMPTY}'")
    op.execute(EXPIRE)


def downgrade() -> None:
    """Remove nothing any more."""
    said = "the message, byte for byte"
    op.execute(f"comment on column penstock.event_archive.body is '{said}'")
    op.execute("drop function penstock.expire_runs(uuid, timestamptz, integer)")
