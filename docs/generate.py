"""Writes the data dictionary for people from the catalog.

.venv/bin/python -m docs.generate > docs/tables.md
"""

from typing import Iterable, Iterator, List, Mapping

from comagic.catalog import LIST, Field, Resource, dictionaries, reports, resources
from comagic.extract.load_windows import DESCRIPTION, FIELDS, TABLE
from comagic.extract.schema import CHILD_COLUMNS, ROOT_COLUMNS, flattened

CODES_SHOWN = 12
"""Longer lists of codes are in the catalog's files."""

BEGINNING = """# Tables and columns

Generated from the files here by `python -m docs.generate > docs/tables.md`; a test holds it against them.

- A report is loaded window by window and merged by its key; `partition_date` is the day in the account's time zone. A
  dictionary is read whole at each run and replaced.
- A list is a child table, `table__list`; its rows belong to the row of the table whose `_dlt_id` is their
  `_dlt_root_id`, in the order of `_dlt_list_idx`. A list that never had an element has no table.
- `timestamp` is an instant (with time zone). "Id of ...; `table.column`" tells where an id leads to.
- `calls` has the columns marked with * by default, all others if `fields` says so; other resources have all.
"""

QUESTIONS = (
    (
        "Lost calls by hour of the day",
        """SELECT EXTRACT(HOUR FROM start_time AT TIME ZONE 'Europe/Moscow') AS hour,
    COUNT(*) AS calls, SUM(CASE WHEN is_lost THEN 1 ELSE 0 END) AS lost
FROM comagic.calls
GROUP BY 1
ORDER BY 1""",
    ),
    (
        "First-time callers by campaign",
        """SELECT campaigns.name AS campaign, COUNT(DISTINCT calls.contact_phone_number) AS callers
FROM comagic.calls AS calls
JOIN comagic.campaigns AS campaigns ON campaigns.id = calls.campaign_id
WHERE calls.communication_number = 1
GROUP BY campaigns.name
ORDER BY callers DESC, campaign""",
    ),
    (
        "From the call to the visit of the site",
        """SELECT calls.id, sessions.hits_count, hits.hit_url AS first_page
FROM comagic.calls AS calls
JOIN comagic.visitor_sessions AS sessions ON sessions.id = calls.visitor_session_id
LEFT JOIN comagic.visitor_sessions__hits AS hits ON hits._dlt_root_id = sessions._dlt_id AND hits._dlt_list_idx = 0
ORDER BY calls.id""",
    ),
    (
        "How long employees let callers wait",
        """SELECT employees.full_name AS employee, COUNT(*) AS calls, ROUND(AVG(calls.wait_duration), 1) AS seconds
FROM comagic.calls AS calls
JOIN comagic.calls__employees AS reached ON reached._dlt_root_id = calls._dlt_id
JOIN comagic.employees AS employees ON employees.id = reached.employee_id
WHERE reached.is_answered
GROUP BY employees.full_name
ORDER BY seconds, employee""",
    ),
    (
        "Tags over time",
        """SELECT calls.partition_date AS day, tags.tag_name AS tag, COUNT(*) AS calls
FROM comagic.calls AS calls
JOIN comagic.calls__tags AS tags ON tags._dlt_root_id = calls._dlt_id
GROUP BY calls.partition_date, tags.tag_name
ORDER BY day, tag""",
    ),
)
"""Questions with their answers in SQL, which DuckDB and BigQuery understand alike."""


def data_dictionary() -> str:
    """The page: each table with its key and columns, then questions."""
    parts = [BEGINNING, _contents()]
    for title, of in (("Reports", reports().values()), ("Dictionaries", dictionaries().values())):
        parts += [f"## {title}\n", *(text for resource in of for text in _tables(resource))]
    parts += [
        "## What was loaded\n",
        _table(TABLE, DESCRIPTION, "none; `_dlt_load_id` is in `_dlt_loads.load_id`", FIELDS),
    ]
    parts += ["## Questions\n\nThey run in DuckDB and in BigQuery; the second to the fourth need `--resource all`.\n"]
    parts += [f"### {title}\n\n```sql\n{sql}\n```\n" for title, sql in QUESTIONS]
    return "\n".join(parts)


def _contents() -> str:
    lines = ["| resource | method | a row is | key |", "| --- | --- | --- | --- |"]
    for of in resources().values():
        lines.append(f"| [`{of.name}`](#{of.name}) | `{of.method}` | {of.description} | `{of.primary_key}` |")
    return "\n".join(lines) + "\n"


def _tables(resource: Resource) -> Iterator[str]:
    own = [*resource.fields.values(), *resource.computed.values()]
    yield _table(resource.name, resource.description, f"`{resource.primary_key}`", own)
    for of in own:
        if of.type == LIST:
            children = [of.items] if of.items else list(of.children.values())
            key = f"`_dlt_root_id` = `{resource.name}._dlt_id`"
            yield _table(f"{resource.name}__{of.name}", of.description, key, children, CHILD_COLUMNS)


def _table(name: str, description: str, key: str, of: Iterable[Field], own: Mapping[str, str] = ROOT_COLUMNS) -> str:
    lines: List[str] = [
        f"### {name}\n",
        f"{description} Key: {key}.\n",
        "| column | type | meaning |",
        "| --- | --- | --- |",
    ]
    for field in flattened(of):
        if field.type != LIST:
            mark = "*" if field.selected else ""
            codes = f" Codes: {', '.join(field.values)}." if 0 < len(field.values) <= CODES_SHOWN else ""
            lines.append(f"| `{field.name}`{mark} | {field.type} | {field.description}{codes} |")
    for column, meaning in own.items():
        lines.append(f"| `{column}` | {'bigint' if column == '_dlt_list_idx' else 'text'} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(data_dictionary(), end="")  # noqa: T201
