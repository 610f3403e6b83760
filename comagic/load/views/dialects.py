"""Functions of the views' SQL files that are written in another way in each destination.

| function | what it is |
| --- | --- |
| `LOCAL_TIME_OF(time, zone)` | local time without a zone |
| `EPOCH_OF(time)`, `SECONDS_BETWEEN(from, to)` | whole seconds since 1970, or between two times |
| `HOUR_OF(time)`, `WEEKDAY_OF(day)` | 0 to 23; 1 for Monday to 7 for Sunday |
| `MONDAY_OF(day)`, `DAY_PLUS(day, n)` | Monday of the week; a day later |
| `IS_DIGITS(text)`, `HAS_DIGIT(text)` | nothing but digits; any digit: hidden numbers have none |
| `NO_TEXTS()` | an empty array of texts |
"""

from collections.abc import Mapping

import sqlglot
from sqlglot import exp

BIGQUERY, DUCKDB, POSTGRES = "bigquery", "duckdb", "postgres"
"""sqlglot's names of the dialects."""
DIALECTS = (DUCKDB, BIGQUERY, POSTGRES)

_EPOCH = "CAST(FLOOR(EXTRACT(EPOCH FROM {0})) AS BIGINT)"
_SIMILAR: Mapping[str, str] = {
    "EPOCH_OF": _EPOCH,
    "SECONDS_BETWEEN": f"({_EPOCH.format('{1}')} - {_EPOCH})",
    "HOUR_OF": "CAST(EXTRACT(HOUR FROM {0}) AS BIGINT)",
    "WEEKDAY_OF": "CAST(EXTRACT(ISODOW FROM {0}) AS BIGINT)",
    "LOCAL_TIME_OF": "({0} AT TIME ZONE {1})",
}
"""What DuckDB and PostgreSQL write in the same way."""

FUNCTIONS: Mapping[str, Mapping[str, str]] = {
    DUCKDB: {
        **_SIMILAR,
        "MONDAY_OF": "CAST(DATE_TRUNC('week', {0}) AS DATE)",
        "DAY_PLUS": "({0} + CAST({1} AS INTEGER))",
        "IS_DIGITS": "REGEXP_MATCHES({0}, '^[0-9]+$')",
        "HAS_DIGIT": "REGEXP_MATCHES({0}, '[0-9]')",
        "NO_TEXTS": "CAST([] AS TEXT[])",
    },
    POSTGRES: {
        **_SIMILAR,
        "MONDAY_OF": "CAST(DATE_TRUNC('week', {0}) AS DATE)",
        "DAY_PLUS": "({0} + CAST({1} AS INT))",
        "IS_DIGITS": "({0} ~ '^[0-9]+$')",
        "HAS_DIGIT": "({0} ~ '[0-9]')",
        "NO_TEXTS": "CAST(ARRAY[] AS TEXT[])",
    },
    BIGQUERY: {
        "EPOCH_OF": "UNIX_SECONDS({0})",
        "SECONDS_BETWEEN": "(UNIX_SECONDS({1}) - UNIX_SECONDS({0}))",
        "HOUR_OF": "EXTRACT(HOUR FROM {0})",
        "WEEKDAY_OF": "(MOD(EXTRACT(DAYOFWEEK FROM {0}) + 5, 7) + 1)",
        # not DATETIME(time, zone): sqlglot, and an emulator that uses it, take a zone from a column for a time
        "LOCAL_TIME_OF": "DATETIME(DATE({0}, {1}), TIME({0}, {1}))",
        "MONDAY_OF": "CAST(DATE_TRUNC({0}, WEEK(MONDAY)) AS DATE)",
        "DAY_PLUS": "DATE_ADD({0}, INTERVAL {1} DAY)",
        "IS_DIGITS": "REGEXP_CONTAINS({0}, r'^[0-9]+$')",
        "HAS_DIGIT": "REGEXP_CONTAINS({0}, r'[0-9]')",
        "NO_TEXTS": "CAST([] AS ARRAY<STRING>)",
    },
}


def translate(query: exp.Expr, dialect: str) -> exp.Expr:
    """Replaces the functions by what they are in a dialect."""
    for call in reversed(list(query.find_all(exp.Anonymous, bfs=False))):
        text = FUNCTIONS[dialect].get(call.name.upper())
        if text is not None:
            arguments = [argument.sql(dialect) for argument in call.expressions]
            call.replace(sqlglot.parse_one(text.format(*arguments), read=dialect))
    return query


def without_null_order(query: exp.Expr, dialect: str) -> exp.Expr:
    """Leaves out where nulls are sorted: nothing is sorted by what can be null, and BigQuery forbids to say it."""
    order = sqlglot.Dialect.get_or_raise(dialect).NULL_ORDERING
    for ordered in query.find_all(exp.Ordered):
        is_descending = bool(ordered.args.get("desc"))
        ordered.set("nulls_first", order != "nulls_are_last" and is_descending == (order == "nulls_are_large"))
    return query
