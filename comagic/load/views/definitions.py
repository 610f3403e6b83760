"""The views as their SQL files declare them: what a row is, each column, the tables that a view is made of.

A file is a query in DuckDB's SQL, with functions that mean something else in each destination (see `dialects`), below a
comment that has the view's description, `needs:` with the tables without which there is no view, and a line for each of
its columns. Tables are named without a dataset, each has an alias, and each column the alias of its table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent

COLUMN = re.compile(r"^(\w+): (.+)$")
NEEDS = "needs"


@dataclass(frozen=True)
class View:
    """One view.

    Attributes:
        name: its name.
        description: what a row is.
        needs: tables without which it cannot be created; others that it names may be missing.
        columns: descriptions of its columns, in their order; `calls_flat` has those of `calls` before them.
        sql: the query.
    """

    name: str
    description: str
    needs: Sequence[str]
    columns: Mapping[str, str]
    sql: str


@cache
def views() -> Mapping[str, View]:
    """All views by name, in alphabetical order."""
    return {file.stem: _parse(file) for file in sorted(HERE.glob("*.sql"))}


def _parse(file: Path) -> View:
    lines = file.read_text("utf-8").splitlines()
    first = next(index for index, line in enumerate(lines) if not line.startswith("--"))
    comment = [line.removeprefix("--").strip() for line in lines[:first]]
    found = {line[1]: line[2] for line in map(COLUMN.match, comment) if line}
    needs = found.pop(NEEDS).split(", ")
    description = " ".join(comment[: comment.index("")])
    return View(file.stem, description, needs, found, "\n".join(lines[first:]))
