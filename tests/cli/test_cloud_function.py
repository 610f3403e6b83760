"""The Cloud Function loads what a message or request asks for, logs JSON, and fails only where a retry can help."""

import base64
import json
import os
import signal
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
from comagic.redaction import remember_secret
from comagic.sandbox import SandboxServer
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.google_proxy import GoogleProxy
from tests.support.processes import ROOT, Serve
from tests.support.warehouses import BigQuery


class Function:
    """A served function and its log.

    Args:
        url: its address.
        log: the file of its standard output.
    """

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log

    def send(self, data: bytes = b"{}") -> int:
        """Delivers a Pub/Sub message as Eventarc does; returns the HTTP status, 200 to acknowledge it."""
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
        """Returns the entries of the log; every line has to be one."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def messages(self, severity: str) -> str:
        """Returns the messages that were logged with a severity."""
        return "\n".join(entry["message"] for entry in self.entries() if entry["severity"] == severity)


@contextmanager
def serve_function(folder: Path, target: str, environment: dict[str, str]) -> Iterator[Function]:
    """Serves a function by Google's Functions Framework from the repository's root, as Google's build does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True)
    log = folder / "log"
    variables = {
        **{name: value for name, value in os.environ.items() if name != "DLT_DATA_DIR"},
        **environment,
        "FUNCTION_SOURCE": "comagic_pipeline.py",  # Google's build sets it from GOOGLE_FUNCTION_SOURCE
        "FUNCTION_TARGET": target,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "TMPDIR": str(folder),
    }
    framework = str(Path(sys.executable).parent / "functions-framework")
    with (
        log.open("wb") as output,
        (folder / "errors").open("wb") as errors,
        subprocess.Popen(
            [framework], cwd=ROOT, env=variables, stdout=output, stderr=errors, start_new_session=True
        ) as process,
    ):
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, (folder / "errors").read_text()
                time.sleep(0.1)
            yield Function(f"http://127.0.0.1:{port}/", log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # at SIGTERM gunicorn may wait 30 seconds for a worker


EMULATOR = "BIGQUERY_EMULATOR_HOST"
StartFunction = Callable[..., Function]


@pytest.fixture
def start_function(tmp_path: Path) -> Iterator[StartFunction]:
    """Serves functions, which stop with the test."""
    with ExitStack() as stack:
        yield lambda sandbox, warehouse, target="main", **more: stack.enter_context(
            serve_function(
                tmp_path / uuid.uuid4().hex,
                target,
                {**access_to(sandbox), **warehouse.environment, "LOAD__WORKERS": "1", **more},
            )
        )


@pytest.mark.expensive
def test_concurrent_and_repeated_events_load_each_row_once(
    serve: Serve, start_function: StartFunction, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    function = start_function(sandbox, warehouse_in_bigquery)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(function.send, [b"{}", b""])) == [200, 200]
    assert (
        "Stopped early. Another run is active here, started by another event. Nothing was loaded."
        in function.messages("WARNING")
    )
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
    rows_before = warehouse_in_bigquery.rows("calls")
    assert function.send() == 200
    assert warehouse_in_bigquery.rows("calls") == rows_before, "a load id changed"
    uploaded = account.upload(datetime(*TODAY.timetuple()[:3]) - timedelta(days=40), contact_phone_number="79001112233")
    backfill = {
        "since": str(TODAY - timedelta(days=41)),
        "until": str(TODAY - timedelta(days=39)),
        "resources": ["calls"],
    }
    assert function.send(json.dumps(backfill).encode()) == 200
    assert uploaded in warehouse_in_bigquery.calls()
    assert "calls: " in function.messages("INFO")
    loaded = [entry for entry in function.entries() if entry.get("outcome") == "loaded"]
    assert len(loaded) == 3, "the alert counts these entries"
    assert (Path(function.log).parent / "dlt").is_dir(), "dlt's files are not in the temporary folder"
    check_only_transient_errors_are_retried(sandbox, function)


def check_only_transient_errors_are_retried(sandbox: SandboxServer, function: Function) -> None:
    """Sends messages that fail: Pub/Sub sends a message again unless the status is 200."""
    requests_before = sandbox.requests
    for data, message in (
        (b'{"since": ', "is not JSON"),
        (b'{"from": "x"}', "'from'"),
        (b'{"since": "soon"}', "--since"),
    ):
        assert function.send(data) == 200, "acknowledged"
        assert message in function.messages("ERROR"), data
    assert sandbox.requests == requests_before
    sandbox.switches.errors = {"get.calls_report": "access_token_blocked"}
    assert function.send() == 200
    assert "access_token_blocked" in function.messages("ERROR")
    sandbox.switches.errors = {"get.calls_report": "internal_error"}
    assert function.send() == 500, "a transient error was acknowledged"
    assert "internal_error" in function.messages("ERROR")


@pytest.mark.expensive
def test_run_stops_before_its_time_limit_and_next_event_resumes(
    serve: Serve, start_function: StartFunction, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account(3)

    def slow_down(request: int) -> None:
        if request == 12:
            sandbox.switches.latency = 60  # longer than the time limit

    sandbox = serve(account, before_answer=slow_down)
    settings = {"MAX_MINUTES": "0.25", "WINDOW_DAYS": "1", "FIELDS": "is_lost"}
    function = start_function(
        sandbox,
        warehouse_in_bigquery,
        **{f"SOURCES__COMAGIC__{name}": value for name, value in settings.items()},
        COMAGIC_HISTORY_COMMAND="gcloud run jobs execute comagic-history --wait",
    )
    assert function.send() == 200
    stopped = function.messages("WARNING")
    assert "Stopped early. The time limit of 0.25 minutes is reached." in stopped
    assert "Start the history job once" in stopped, "it reads years of calls by minutes"
    assert "this time limit: gcloud run jobs execute comagic-history --wait" in stopped
    columns = ("id", "start_time", "is_lost", "partition_date")
    expected = {key: {name: call[name] for name in columns} for key, call in expected_calls(account, LONG_AGO).items()}
    loaded = warehouse_in_bigquery.calls()
    assert 0 < len(loaded) < len(expected)
    sandbox.switches.latency = 0
    requests_before = sandbox.requests
    assert function.send() == 200
    assert differences(warehouse_in_bigquery.calls(), expected) == []
    assert sandbox.requests - requests_before <= 33, "the next event started at the beginning"


@pytest.mark.expensive(17)
def test_what_bigquery_denies_is_acknowledged_after_one_try(
    serve: Serve, start_function: StartFunction, warehouse_in_bigquery: BigQuery
) -> None:
    def forbid(_: int, method: str, path: str) -> str:
        return "forbid" if method == "POST" and path.startswith("/upload/") else ""

    sandbox = serve(recent_account(1))
    environment = warehouse_in_bigquery.environment
    with GoogleProxy(environment[EMULATOR], forbid) as proxy:
        function = start_function(sandbox, warehouse_in_bigquery, **{EMULATOR: proxy.url})
        assert function.send(b'{"resources": ["tags"]}') == 200, "Pub/Sub would send it again for a day"
        (entry,) = [entry for entry in function.entries() if "outcome" in entry]
        assert (entry["severity"], entry["outcome"], entry["dataset"]) == ("ERROR", "rejected", "comagic")
        assert "bigquery.tables.updateData denied" in entry["message"], entry["message"]
        assert "Grant the account the role BigQuery Data Editor" in entry["message"]
        tries = [path for method, path in proxy.seen if method == "POST" and path.startswith("/upload/")]
        assert len(tries) == len(set(tries)) == 1, tries
        proxy.fault = None
        assert function.send(b'{"resources": ["tags"]}') == 200
    assert warehouse_in_bigquery.query("SELECT count(*) > 0 FROM tags") == [(True,)]


@pytest.mark.expensive
def test_http_request_gets_outcome_and_message(
    serve: Serve, start_function: StartFunction, warehouse_in_bigquery: BigQuery
) -> None:
    sandbox = serve(recent_account(3))
    function = start_function(sandbox, warehouse_in_bigquery, "main_http")
    response = requests.post(function.url, json={"resources": ["tags"]}, timeout=300)
    assert (response.status_code, response.json()) == (200, {"outcome": "loaded", "message": ""})
    assert warehouse_in_bigquery.query("SELECT count(*) > 0 FROM tags") == [(True,)]
    response = requests.post(function.url, json={"resources": ["tagz"]}, timeout=300)
    assert (response.status_code, response.json()["outcome"]) == (400, "rejected")
    assert "did you mean 'tags'" in response.json()["message"]
    sandbox.switches.errors = {"get.tags": "internal_error"}
    response = requests.post(function.url, json={"resources": ["tags"]}, timeout=300)
    assert (response.status_code, "internal_error" in response.json()["message"]) == (500, True)


def test_duckdb_file_is_rejected_as_destination(serve: Serve, start_function: StartFunction) -> None:
    function = start_function(serve(), BigQuery("http://127.0.0.1:9", "p"), DESTINATION_TYPE="duckdb")
    assert function.send() == 200
    assert "Rejected. DESTINATION_TYPE: a function keeps no files" in function.messages("ERROR")


@pytest.mark.parametrize("text", ["[]", "x", '"since"', '{"since": 7}', '{"resources": "calls"}', '{"resources": [1]}'])
def test_malformed_request_is_rejected(text: str) -> None:
    with pytest.raises(
        BadRequestError, match=r"^The request('s (since|resources) (is|are) | is not (JSON \(|a JSON object: ))"
    ):
        parse_request(text)


def test_request_becomes_arguments_of_the_command_line() -> None:
    request = '{"since": "2026-01-01", "resources": ["calls", "tags"]}'
    assert parse_request(request) == ["--since", "2026-01-01", "--resource", "calls", "--resource", "tags"]
    assert parse_request("") == parse_request("{}") == []


def test_malformed_request_is_masked_before_it_is_cut() -> None:
    remember_secret("secret-key-0123")
    for filler in range(180, 520, 3):
        with pytest.raises(BadRequestError) as raised:
            parse_request("x" * filler + "secret-key-0123")
        assert "secr" not in str(raised.value)
