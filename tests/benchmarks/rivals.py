"""Other ways to load calls into DuckDB, each as short as it can be; see `tests.benchmarks.pace`.

python -m tests.benchmarks.rivals METHOD '{"base_url": ..., "access_token": ..., "fields": {...}, ...}'
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests

DATABASE = "rival.duckdb"
"""File in the current folder."""
PAGE = 10_000
TOTAL = re.compile(rb'"total_items": ?(\d+)')
LIMIT_EXCEEDED = b'"limit_exceeded"'


@dataclass(frozen=True)
class Task:
    """What to load.

    Attributes:
        base_url: the server.
        access_token: its key.
        fields: fields of calls, and their types in the catalog; importing that would take longer than the start.
        windows: start and end of each query, both included.
    """

    base_url: str
    access_token: str
    fields: Mapping[str, str]
    windows: Sequence[tuple[str, str]]

    def body(self, window: tuple[str, str], offset: int) -> dict[str, Any]:
        """The request for a page."""
        params = {
            "access_token": self.access_token, "limit": PAGE, "offset": offset, "fields": [*self.fields],
            "date_from": window[0], "date_till": window[1], "sort": [{"field": "start_time", "order": "asc"}],
        }  # fmt: skip
        return {"jsonrpc": "2.0", "id": 1, "method": "get.calls_report", "params": params}

    def pages(self) -> Iterator[bytes]:
        """The responses, one after another; an exhausted quota is waited for."""
        with requests.Session() as session:
            for window in self.windows:
                offset, total = 0, 1
                while offset < total:
                    content = session.post(self.base_url, json=self.body(window, offset), timeout=60).content
                    if LIMIT_EXCEEDED in content[:1000]:
                        time.sleep(json.loads(content)["error"]["data"]["metadata"]["limits"]["minute_reset"])
                        continue
                    found = TOTAL.search(content, len(content) - 1000)
                    total, offset = int(found[1]) if found else 0, offset + PAGE
                    yield content


def fetch(task: Task) -> None:
    """Requests the pages and drops them."""
    for _ in task.pages():
        pass


def script(task: Task) -> None:
    """Appends pages to one flat table, lists as JSON text."""
    import duckdb
    import pyarrow

    types = {"bigint": pyarrow.int64(), "bool": pyarrow.bool_(), "double": pyarrow.float64()}
    lists = [name for name, kind in task.fields.items() if kind == "list"]
    schema = pyarrow.schema([(name, types.get(kind, pyarrow.string())) for name, kind in task.fields.items()])
    with duckdb.connect(DATABASE) as connection:
        connection.register("page", schema.empty_table())
        connection.execute("CREATE TABLE calls AS FROM page")
        for content in task.pages():
            rows = json.loads(content)["result"]["data"]
            for row in rows:
                for name in lists:
                    row[name] = json.dumps(row[name], ensure_ascii=False)
            connection.register("page", pyarrow.Table.from_pylist(rows, schema=schema))
            connection.execute("INSERT INTO calls FROM page")


def rest_api(task: Task) -> None:
    """Loads with dlt's `rest_api` source, a key and a merge, into Parquet files as the pipeline does.

    dlt's default for DuckDB is a file of INSERT statements; that took five times as long, and 2.8 GB of memory.
    """
    import dlt
    from dlt.sources.helpers.rest_client.paginators import OffsetPaginator
    from dlt.sources.rest_api import rest_api_source

    periods = [{"start": start, "end": end} for start, end in task.windows]
    windows: Any = dlt.resource([periods], name="windows", selected=False)
    body = task.body(("{resources.windows.start}", "{resources.windows.end}"), 0)
    paginator = OffsetPaginator(
        PAGE,
        offset_param=None,
        limit_param=None,
        offset_body_path="params.offset",
        limit_body_path="params.limit",
        total_path="result.metadata.total_items",
    )
    endpoint: Any = {
        "path": task.base_url,
        "method": "POST",
        "json": body,
        "paginator": paginator,
        "data_selector": "result.data",
    }
    calls: Any = {"name": "calls", "primary_key": "id", "write_disposition": "merge", "endpoint": endpoint}
    source = rest_api_source({"client": {"base_url": task.base_url}, "resources": [windows, calls]})
    pipeline = dlt.pipeline("rival", destination=dlt.destinations.duckdb(DATABASE), dataset_name="comagic")
    pipeline.run(source, loader_file_format="parquet")


RIVALS: Mapping[str, Callable[[Task], None]] = {"fetch": fetch, "script": script, "rest_api": rest_api}


def week_windows(start: datetime, end: datetime) -> list[tuple[str, str]]:
    """Windows of 7 days that cover the times from `start` up to, not including, `end`."""
    step, windows = timedelta(days=7), []
    while start < end:
        windows.append((f"{start}", f"{min(start + step, end) - timedelta(seconds=1)}"))
        start += step
    return windows


if __name__ == "__main__":
    RIVALS[sys.argv[1]](Task(**json.loads(sys.argv[2])))
