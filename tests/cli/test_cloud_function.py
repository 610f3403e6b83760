"""The Cloud Function, run by Google's Functions Framework from the repository's root, as Google's build starts it."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from comagic.cli.cloud_function import BadRequestError, parse_request
from comagic.sandbox import SandboxServer, Switches
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import ROOT, Serve
from tests.support.warehouses import BigQuery


class Function:
    """A function that is being served, and what it wrote."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def send(self, data: bytes = b"{}") -> int:
        """Delivers a Pub/Sub message as Eventarc does, a CloudEvent in binary mode; 200 acknowledges it."""
        headers = {
            "ce-id": uuid.uuid4().hex,
            "ce-source": "//pubsub.googleapis.com/projects/p/topics/update_calls",
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        }
        message = {"data": base64.b64encode(data).decode(), "messageId": "1", "publishTime": "2026-01-01T00:00:00Z"}
        body = {"message": message, "subscription": "projects/p/subscriptions/s"}
        return requests.post(self.url, json=body, headers=headers, timeout=300).status_code

    def entries(self) -> list[dict[str, Any]]:
        """Entries of the log; every line has to be one."""
        return [json.loads(line) for line in self._log.read_text("utf-8").splitlines()]

    def told(self, severity: str) -> str:
        """What was logged with a severity."""
        return "\n".join(of["message"] for of in self.entries() if of["severity"] == severity)


@contextmanager
def serving(folder: Path, target: str, environment: dict[str, str]) -> Iterator[Function]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True)
    log = folder / "log"
    started = {
        **{name: value for name, value in os.environ.items() if name != "DLT_DATA_DIR"},
        **environment,
        "FUNCTION_SOURCE": "comagic_pipeline.py",  # what Google's build makes of GOOGLE_FUNCTION_SOURCE
        "FUNCTION_TARGET": target,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "TMPDIR": str(folder),
    }
    framework = str(Path(sys.executable).parent / "functions-framework")
    with (
        log.open("wb") as written,
        (folder / "errors").open("wb") as errors,
        subprocess.Popen([framework], cwd=ROOT, env=started, stdout=written, stderr=errors) as process,
    ):
        try:
            for _ in range(600):
                with socket.socket() as knock:
                    if knock.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, (folder / "errors").read_text()
                time.sleep(0.1)
            yield Function(f"http://127.0.0.1:{port}/", log)
        finally:
            process.terminate()


Start = Callable[..., Function]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Serves functions that end with the test."""
    with ExitStack() as stack:
        yield lambda sandbox, warehouse, target="main", **more: stack.enter_context(
            serving(
                tmp_path / uuid.uuid4().hex,
                target,
                {**access_to(sandbox), **warehouse.environment, "LOAD__WORKERS": "1", **more},
            )
        )


def test_events_load_once_however_often_and_at_once_they_come(
    serve: Serve, start: Start, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    function = start(sandbox, warehouse_in_bigquery)
    with ThreadPoolExecutor(2) as both:
        assert list(both.map(function.send, [b"{}", b""])) == [200, 200]
    assert "Another run is loading here" in function.told("WARNING")
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
    before = warehouse_in_bigquery._rows("calls")
    assert function.send() == 200
    assert warehouse_in_bigquery._rows("calls") == before, "not even a load id changed"
    added = account.upload(datetime(*TODAY.timetuple()[:3]) - timedelta(days=40), contact_phone_number="79001112233")
    order = {"since": str(TODAY - timedelta(days=41)), "until": str(TODAY - timedelta(days=39)), "resources": ["calls"]}
    assert function.send(json.dumps(order).encode()) == 200
    assert added in warehouse_in_bigquery.calls()
    assert "calls: " in function.told("INFO")
    loaded = [of for of in function.entries() if of.get("outcome") == "loaded"]
    assert len(loaded) == 3, "the alert counts these"
    assert (Path(function._log).parent / "dlt").is_dir(), "dlt's files are in the temporary folder"
    check_what_is_not_tried_again(sandbox, function)


def check_what_is_not_tried_again(sandbox: SandboxServer, function: Function) -> None:
    asked = sandbox.requests
    for data, told in ((b'{"since": ', "is not JSON"), (b'{"from": "x"}', "'from'"), (b'{"since": "soon"}', "--since")):
        assert function.send(data) == 200, "acknowledged"
        assert told in function.told("ERROR"), data
    assert sandbox.requests == asked
    sandbox.switches.errors = {"get.calls_report": "access_token_blocked"}
    assert function.send() == 200
    assert "access_token_blocked" in function.told("ERROR")
    sandbox.switches.errors = {"get.calls_report": "internal_error"}
    assert function.send() == 500, "a fault that passes: Pub/Sub sends the message again"
    assert "internal_error" in function.told("ERROR")


def test_a_run_stops_before_its_limit_and_the_next_event_goes_on(
    serve: Serve, start: Start, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account(3)
    sandbox = serve(account, Switches(latency=0.3))
    function = start(
        sandbox, warehouse_in_bigquery, SOURCES__COMAGIC__MAX_MINUTES="0.15", SOURCES__COMAGIC__WINDOW_DAYS="1"
    )
    assert function.send() == 200
    assert "Stopped early" in function.told("WARNING")
    expected = expected_calls(account, LONG_AGO)
    loaded = warehouse_in_bigquery.calls()
    assert 0 < len(loaded) < len(expected)
    sandbox.switches.latency = 0
    asked = sandbox.requests
    assert function.send() == 200
    assert differences(warehouse_in_bigquery.calls(), expected) == []
    assert sandbox.requests - asked < 41, "it went on, it did not begin anew"


def test_a_request_by_http_is_answered(serve: Serve, start: Start, warehouse_in_bigquery: BigQuery) -> None:
    sandbox = serve(recent_account(3))
    function = start(sandbox, warehouse_in_bigquery, "main_http")
    answer = requests.post(function.url, json={"resources": ["tags"]}, timeout=300)
    assert (answer.status_code, answer.json()) == (200, {"outcome": "loaded", "message": ""})
    assert warehouse_in_bigquery.query("SELECT count(*) > 0 FROM tags") == [(True,)]
    answer = requests.post(function.url, json={"resources": ["tagz"]}, timeout=300)
    assert (answer.status_code, answer.json()["outcome"]) == (400, "refused")
    assert "did you mean 'tags'" in answer.json()["message"]
    sandbox.switches.errors = {"get.tags": "internal_error"}
    answer = requests.post(function.url, json={"resources": ["tags"]}, timeout=300)
    assert (answer.status_code, "internal_error" in answer.json()["message"]) == (500, True)


def test_a_file_that_would_be_gone_is_refused(serve: Serve, start: Start) -> None:
    function = start(serve(), BigQuery("http://127.0.0.1:9", "p"), DESTINATION_TYPE="duckdb")
    assert function.send() == 200
    assert "DESTINATION_TYPE" in function.told("ERROR")


@pytest.mark.parametrize("text", ["[]", "x", '"since"', '{"since": 7}', '{"resources": "calls"}', '{"resources": [1]}'])
def test_orders_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match="request"):
        parse_request(text)


def test_an_order_becomes_words() -> None:
    order = '{"since": "2026-01-01", "resources": ["calls", "tags"]}'
    assert parse_request(order) == ["--since", "2026-01-01", "--resource", "calls", "--resource", "tags"]
    assert parse_request("") == parse_request("{}") == []
