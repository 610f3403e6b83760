"""A sandbox for measurements: rows are rendered once, before the first request, and kept as bytes.

    python -m tests.support.kept_rows '{"calls_per_day": 8000, "first_day": "2026-01-01", ...}'

The rules (limits, envelope, errors) are the sandbox's own. Each line on the standard input starts a server with a full
quota, or stops it, in turn; the answer is a line of JSON: how to reach it, or what it did.
"""

import gc
import json
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from random import Random
from typing import Any

import orjson

from comagic.catalog import Report
from comagic.sandbox import SandboxServer, Switches, SyntheticAccount
from comagic.sandbox.calls import API_TIME
from comagic.sandbox.errors import RejectedError
from comagic.sandbox.protocol import Protocol
from comagic.sandbox.query import Params, Query, Row, parse_period
from comagic.sandbox.switches import KEY

FAR = datetime(2100, 1, 1)


@dataclass(frozen=True)
class Served:
    """What is served.

    Attributes:
        first_day: day of the first calls, `YYYY-MM-DD`.
        last_day: day of the last calls.
        calls_per_day: calls of an average working day.
        fields: the fields of calls that may be requested, in any order.
        list_share: share of the items of each list that are kept.
        latency: seconds before each response.
        minute_limit: requests a minute.
    """

    first_day: str
    last_day: str
    calls_per_day: float
    fields: Sequence[str]
    list_share: float = 1.0
    latency: float = 0.0
    minute_limit: int = 100_000


@dataclass(frozen=True)
class Kept:
    """Calls as bytes.

    Attributes:
        fields: the fields that each has.
        starts: their starts, in order.
        rows: each as JSON.
    """

    fields: Set[str]
    starts: Sequence[datetime]
    rows: Sequence[bytes]


def keep(account: SyntheticAccount, served: Served) -> Kept:
    """Renders an account's calls."""
    starts, rows = [], []
    chance = Random(0)
    for call in account.calls(datetime.fromisoformat(served.first_day), FAR, FAR):
        row = {name: call[name] for name in served.fields}
        for name, value in row.items():
            if isinstance(value, list):
                row[name] = [item for item in value if chance.random() < served.list_share]
        starts.append(datetime.strptime(call["start_time"], API_TIME))
        rows.append(orjson.dumps(row))
    return Kept(set(served.fields), starts, rows)


class KeptRows(Protocol):
    """The API's rules, for rows that are bytes.

    Args:
        account: the account.
        switches: the limits.
        kept: its calls, from `keep`.

    Attributes:
        refused: number of requests that got an error.
    """

    def __init__(self, account: SyntheticAccount, switches: Switches, kept: Kept) -> None:
        super().__init__(account, switches)
        self.refused = 0
        self._kept = kept

    def respond(self, body: bytes) -> dict[str, Any]:
        """The response to the body of a request."""
        response = super().respond(body)
        self.refused += "error" in response
        return response

    def _report(self, report: Report, params: Params) -> tuple[list[Row], int]:
        query = Query.parse(report, params)
        if report.name != "calls" or set(query.fields) != self._kept.fields:
            raise RejectedError("unexpected_parameters", field="fields")
        start, end = (bisect_left(self._kept.starts, moment) for moment in parse_period(report, params, "[]"))
        rows = self._kept.rows[start:end][query.offset : query.offset + query.limit]
        page: Any = orjson.Fragment(b"[%b]" % b",".join(rows))
        return page, end - start


def main(served: Served) -> None:
    """Renders the rows, and serves them each time that it is told to."""
    days = [date.fromisoformat(day) for day in (served.first_day, served.last_day)]
    account = SyntheticAccount(first_day=days[0], last_day=days[1], calls_per_day=served.calls_per_day)
    kept = keep(account, served)
    gc.freeze()
    answer(rows=len(kept.rows))
    switches = Switches(latency=served.latency, minute_limit=served.minute_limit)
    while sys.stdin.readline():
        protocol = KeptRows(account, switches, kept)
        used = time.process_time()
        with SandboxServer(account, switches) as sandbox:
            sandbox.protocol = protocol
            answer(base_url=sandbox.base_url, access_token=KEY)
            sys.stdin.readline()
        answer(requests=sandbox.requests, refused=protocol.refused, cpu=time.process_time() - used)


def answer(**values: Any) -> None:
    """Writes a line of JSON."""
    sys.stdout.write(f"{json.dumps(values)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Served(**json.loads(sys.argv[1])))
