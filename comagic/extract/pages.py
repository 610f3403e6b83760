"""Pages of a query, and whether its rows moved while they were read.

Rows are paged by offset. Between two responses calls end, uploads arrive, rows may vanish; then what is at an offset
shifts, and a row can be skipped or come twice. So each page starts with the last row of the page before, which shows
any shift.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.client import MAX_LIMIT, MAX_OFFSET, MAX_QUERY_ROWS, DataApiClient
from ..api.responses import Page
from ..catalog import Resource

OVERLAP = 1
"""Rows of the page before with which a page starts."""


def following_offsets(total: int, limit: int = MAX_LIMIT) -> Iterator[int]:
    """Offsets of the pages after the first of a query with so many rows, if all of them are full."""
    offset = 0
    while offset + limit < total and offset < MAX_OFFSET:
        offset = min(offset + limit - OVERLAP, MAX_OFFSET)
        yield offset


@dataclass
class Budget:
    """How much of what was read may be held in memory while more is read.

    Attributes:
        left: what is left, as a share of the largest page.
    """

    left: float = 1.0


def iterate_pages(client: DataApiClient, resource: Resource, budget: Budget, **params: Any) -> Iterator[Page]:
    """Pages through a query by offset until its rows end.

    Args:
        client: the client.
        resource: what is read.
        budget: how large a page may be; the reader that holds something of it takes that off.
        **params: further parameters of its method.

    Yields:
        Pages; each but the first starts with the overlap. The last one reaches the total, if there is one, or has
        nothing beyond the overlap whatever the total says, or is the last that the API's maximum offset allows.

    Raises:
        TooLargeError: a page and what is held are too large together.
    """
    offset, repeated = 0, 0
    total: int | None = None
    is_empty = False
    while True:
        page = client.page(resource.method, offset, most=budget.left, needed=resource.indispensable, **params)
        reached, total = offset + len(page.rows), total if page.total is None else page.total
        if total is None and not page.rows and not is_empty:
            is_empty = True  # nothing says that there are none: ask once more
            continue
        yield page
        del page  # or two pages would be in memory during the next call
        is_complete = total is not None and reached >= total
        if reached - offset <= repeated or is_complete or offset >= MAX_OFFSET:
            return
        offset = min(reached - OVERLAP, MAX_OFFSET)
        repeated = reached - offset


class PageSequence:
    """The pages of one query, and whether rows moved between them.

    A page has to start with the row that the page before ended with. If it starts with a row not seen yet, rows were
    skipped; if it repeats more than that one, rows were inserted. Rows that come and go after what was read so far
    shift nothing and do no harm.

    Attributes:
        keys: keys of the rows so far.
        announced: rows of the query, as the last page says that says it.
        is_stable: no row moved so far.
    """

    def __init__(self) -> None:
        self.keys: set[Any] = set()
        self.announced: int | None = None
        self.is_stable = True

    @property
    def total(self) -> int:
        """Rows of the query, as announced, else those that came."""
        return len(self.keys) if self.announced is None else self.announced

    def add(self, keys: Sequence[Any], total: int | None) -> None:
        """Takes a page in.

        Args:
            keys: keys of its rows, in their order.
            total: rows of the query, as the page says; None if it does not.
        """
        if self.keys:
            joins = bool(keys) and keys[0] in self.keys
            repeats = sum(key in self.keys for key in keys)
            self.is_stable &= joins and repeats <= max(OVERLAP, len(self.keys) + len(keys) - MAX_QUERY_ROWS)
        self.keys.update(keys)
        self.announced = self.announced if total is None else total
