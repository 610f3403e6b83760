"""SQL of this package for databases that lack something of it."""

import re
from typing import Any

DATE_LITERAL = re.compile(r"\bDATE ('\d{4}-\d\d-\d\d')")
WITHOUT_DATE_LITERALS = {"sqlite", "tsql", "fabric"}
"""sqlglot's names of the dialects. A text of this form compares with a date in all of them."""


def adapt_dates(sql: str, client: Any) -> str:
    """Returns a statement in which dates are written as the destination wants them.

    Args:
        sql: the statement, with literals such as `DATE '2026-11-30'`.
        client: dlt's SQL client of the destination.
    """
    if str(client.capabilities.sqlglot_dialect) in WITHOUT_DATE_LITERALS:
        return DATE_LITERAL.sub(r"\1", sql)
    return sql
