"""What is left of tenants that were erased, in any table: there must be nothing."""

from collections.abc import Collection
from typing import Any

from psycopg import AsyncConnection, sql

from penstock.projector.audit.report import Kind, Report

TABLES = "select schema_name, table_name, full_name from penstock.tables_of_tenants()"
REMAINS = """
select tenant_id::text as tenant, count(*) as n from {}
where tenant_id = any (%s::uuid[]) group by 1 order by 1
"""


async def find_remains(
    connection: AsyncConnection[dict[str, Any]], erased: Collection[str], report: Report
) -> None:
    """A problem for each table that still has rows of a tenant that was erased."""
    if not erased:
        return
    for table in await (await connection.execute(TABLES)).fetchall():
        name = sql.Identifier(table["schema_name"], table["table_name"])
        counting = sql.SQL(REMAINS).format(name)
        async for row in await connection.execute(counting, [sorted(erased)]):
            where = f"{table['full_name']} {row['tenant']}"
            report.add(Kind.EXTRA_ROW, where, f"{row['n']} rows of a tenant that was erased")
