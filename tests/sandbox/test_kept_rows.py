"""The server of the benchmarks: it sends what the sandbox sends, from bytes that are kept."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests

from comagic.sandbox import SandboxServer, Switches
from comagic.sandbox.switches import KEY
from tests.support.accounts import FAR, TODAY, days_ago, recent_account
from tests.support.article import ARTICLE_FIELDS
from tests.support.kept_rows import KeptRows, Served, keep

ACCOUNT = recent_account(30)
STARTS = [call["start_time"] for call in ACCOUNT.calls(days_ago(20), days_ago(13), FAR)]
WEEK = {"date_from": STARTS[3], "date_till": STARTS[-3]}
EMPTY = {"date_from": f"{TODAY - timedelta(days=80)} 00:00:00", "date_till": f"{TODAY - timedelta(days=79)} 00:00:00"}

SERVED = Served(f"{TODAY - timedelta(days=40)}", f"{TODAY}", 1, ARTICLE_FIELDS)

Ask = Callable[..., Any]


def asker(sandbox: SandboxServer) -> Ask:
    def ask(**params: Any) -> Any:
        whole = {"access_token": KEY, "sort": [{"field": "start_time", "order": "asc"}], **params}
        body = {"jsonrpc": "2.0", "id": 7, "method": "get.calls_report", "params": whole}
        return json.loads(requests.post(sandbox.base_url, json=body, timeout=60).content)

    return ask


def kept(sandbox: SandboxServer) -> KeptRows:
    protocol = KeptRows(ACCOUNT, sandbox.switches, keep(ACCOUNT, SERVED))
    sandbox.protocol = protocol
    return protocol


@pytest.mark.parametrize("period", [WEEK, EMPTY])
@pytest.mark.parametrize(("offset", "limit"), [(0, 10_000), (49, 50), (100_000, 10)])
def test_rows_and_total_are_those_of_the_sandbox(
    serve: Callable[..., SandboxServer], period: dict[str, str], offset: int, limit: int
) -> None:
    other, same = serve(ACCOUNT), serve(ACCOUNT)
    kept(other)
    params = {**period, "fields": ARTICLE_FIELDS, "offset": offset, "limit": limit}
    results = [asker(sandbox)(**params)["result"] for sandbox in (other, same)]
    for result in results:
        for name in ("day_reset", "minute_reset"):  # change while the test runs
            del result["metadata"]["limits"][name]
    assert results[0] == results[1]


def test_requests_beyond_the_minute_limit_are_refused_and_counted(serve: Callable[..., SandboxServer]) -> None:
    sandbox = serve(ACCOUNT, Switches(minute_limit=2))
    protocol, ask = kept(sandbox), asker(sandbox)
    responses = [ask(**WEEK, fields=ARTICLE_FIELDS) for _ in range(3)]
    left = [response["result"]["metadata"]["limits"]["minute_remaining"] for response in responses[:2]]
    assert left == [1, 0]
    assert responses[2]["error"]["data"]["mnemonic"] == "limit_exceeded"
    assert protocol.refused == 1


def test_other_fields_than_those_kept_are_refused(serve: Callable[..., SandboxServer]) -> None:
    sandbox = serve(ACCOUNT)
    kept(sandbox)
    assert asker(sandbox)(**WEEK, fields=["id"])["error"]["data"]["mnemonic"] == "unexpected_parameters"
