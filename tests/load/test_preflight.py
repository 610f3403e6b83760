"""What BigQuery would reject is reported before a request to the Data API is made, with what to do."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.cloud.bigquery import SchemaField, Table

from comagic.cli.errors import _brief, _with_advice
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.google import RejectingGoogle, Rejection, service_account_key
from tests.support.google_proxy import GoogleProxy
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery


def test_emulator_needs_a_project(serve: Serve, command: Command) -> None:
    result = command("--destination", "bigquery", **access_to(serve()), BIGQUERY_EMULATOR_HOST="http://127.0.0.1:1")
    assert result.code == 2, result.err
    assert "destination.bigquery.project_id: BIGQUERY_EMULATOR_HOST is set" in result.err


def test_missing_google_credentials_are_an_error_that_says_how_to_get_them(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = serve()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    result = command("--destination", "bigquery", **access_to(sandbox))
    assert result.code == 2, result.err
    assert "BigQuery: no credentials were found. Run `gcloud auth application-default login`" in result.err
    assert "Traceback" not in result.err
    assert sandbox.requests == 0


NO_DATA_EDITOR: Rejection = ("/datasets/", 403, "accessDenied", "Access Denied: Dataset p:comagic")
NO_JOB_USER: Rejection = (
    "/queries",
    403,
    "accessDenied",
    "Access Denied: User does not have bigquery.jobs.create permission",
)
NOT_ENABLED: Rejection = ("/queries", 400, "invalid", "The project p has not enabled BigQuery.")


@pytest.mark.parametrize(
    ("rejection", "advice"),
    [
        (NO_DATA_EDITOR, "BigQuery Data Editor"),
        (NO_JOB_USER, "BigQuery Job User"),
        (NOT_ENABLED, "has not enabled BigQuery"),
    ],
)
@pytest.mark.parametrize("subcommand", ["load", "status"])
def test_google_error_is_reported_with_advice(
    serve: Serve, command: Command, rejection: Rejection, advice: str, subcommand: str
) -> None:
    sandbox = serve(recent_account(1))
    with RejectingGoogle(rejection) as google:
        result = command(subcommand, **access_to(sandbox), **google.environment)
    assert result.code == 1, result.err
    assert rejection[3] in result.err
    assert advice in result.err
    assert "Traceback" not in result.err
    assert sandbox.requests == 0, "API quota was used although nothing can be loaded"


@pytest.mark.expensive(4)
def test_invalid_google_key_is_reported_and_not_shown(run: Command, serve: Serve, place: Path) -> None:
    """In a process of its own: dlt caches for a while that there were no default credentials."""
    sandbox = serve(recent_account(1))
    with RejectingGoogle(("/token", 400, "invalid_grant", "invalid_grant: Invalid JWT Signature.")) as google:
        key = service_account_key(google.url)
        (place / "key.json").write_text(json.dumps(key))
        application_default = {"GOOGLE_APPLICATION_CREDENTIALS": str(place / "key.json")}
        result = run("--destination", "bigquery", **access_to(sandbox), **application_default)
    assert result.code == 1, result.err
    assert "Google does not accept these credentials" in result.err
    assert key["private_key"].splitlines()[1] not in result.out + result.err
    assert set(google.paths) == {"/token"}
    assert sandbox.requests == 0


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "403 Billing has not been enabled for this project. DML queries are not allowed in the free tier.",
            "enable billing for the project",
        ),
        (
            "Project was not passed and could not be determined from the environment.",
            "destination.bigquery.project_id in .dlt/config.toml",
        ),
        (
            "Access Denied: Dataset p:comagic: Permission denied (or it may not exist).",
            "If the datasets comagic and comagic_staging do not exist, create them",
        ),
        ("Query exceeded limit for bytes billed: 10485760.", "sources.comagic.maximum_bytes_billed"),
    ],
)
def test_googles_words_have_one_advice(message: str, advice: str) -> None:
    said = _with_advice(message)
    assert said.startswith(message)
    assert advice in said
    assert said.count("Data Editor") <= 1


def test_traceback_in_dlts_message_is_shown_as_its_last_line() -> None:
    trace = 'Traceback (most recent call last):\n  File "client.py", line 2815\n    send()\nConnectionError: lost\n'
    assert _brief(RuntimeError(f"Job for calls failed. message: {trace}")) == (
        "Job for calls failed. message: ConnectionError: lost"
    )


def expiring(kind: str) -> Callable[[str, str, Any], None]:
    """Makes the dataset, or the table `calls`, expire in the responses of a proxy."""

    def alter(method: str, path: str, response: Any) -> None:
        if kind == "dataset" and method == "GET" and "/datasets/comagic?" in path:
            response["defaultTableExpirationMs"] = str(60 * 86_400_000)
        if kind == "table" and method == "GET" and "/tables/calls?" in path:
            response["expirationTime"] = "1900000000000"

    return alter


@pytest.mark.parametrize(
    ("kind", "words"),
    [("dataset", "expire after 60 days. In a project without billing"), ("table", "expires on 2030-03-17")],
)
def test_what_would_expire_is_refused_before_a_request(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery, kind: str, words: str
) -> None:
    sandbox = serve(recent_account(1))
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment}
    client, project = warehouse_in_bigquery.client, warehouse_in_bigquery.project
    client.create_dataset(f"{project}.comagic")
    client.create_table(Table(f"{project}.comagic.calls", [SchemaField("id", "INT64")]))
    with GoogleProxy(environment["BIGQUERY_EMULATOR_HOST"], alter=expiring(kind)) as proxy:
        result = command(**{**environment, "BIGQUERY_EMULATOR_HOST": proxy.url})
    assert (result.code, sandbox.requests) == (2, 0), result.err
    assert words in result.err
    assert "bq update --" in result.err


def test_dataset_that_a_load_creates_and_that_expires_is_deleted_again(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    sandbox = serve(recent_account(1))
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment}
    with GoogleProxy(environment["BIGQUERY_EMULATOR_HOST"], alter=expiring("dataset")) as proxy:
        result = command(**{**environment, "BIGQUERY_EMULATOR_HOST": proxy.url})
    assert (result.code, sandbox.requests) == (2, 0), result.err
    assert "the BigQuery sandbox" in result.err
    assert list(warehouse_in_bigquery.client.list_datasets()) == []


@pytest.mark.expensive(4)
def test_unreachable_bigquery_is_reported_within_the_retry_deadline(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1))
    with RejectingGoogle() as google:
        pass
    for subcommand in ("load", "status", "views"):
        started = time.monotonic()
        result = command(subcommand, **access_to(sandbox), **google.environment)
        assert (result.code, "cannot be reached" in result.err) == (1, True), result.err
        assert time.monotonic() - started < 15, "retry_deadline is 2 seconds"
    assert sandbox.requests == 0


def test_dataset_in_another_location_is_reported_with_the_setting(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    environment = {**access_to(serve(recent_account(1))), **warehouse_in_bigquery.environment}
    assert command(**environment, DESTINATION__BIGQUERY__LOCATION="EU").code == 0
    result = command(**environment, DESTINATION__BIGQUERY__LOCATION="europe-west3")
    assert result.code == 2, result.err
    assert "destination.bigquery.location: it is europe-west3, and the dataset" in result.err
    assert "is in EU, for good. Set it to EU, or delete the dataset." in result.err
    assert command(**environment, DESTINATION__BIGQUERY__LOCATION="eu").code == 0


def test_table_of_another_shape_is_rejected_before_anything_is_read(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    sandbox = serve(account)
    client, project = warehouse_in_bigquery.client, warehouse_in_bigquery.project
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment, "LOAD__WORKERS": "3"}
    client.create_dataset(f"{project}.comagic")
    for name, field, shape in (
        ("talk_duration", SchemaField("talk_duration", "STRING"), "NULLABLE STRING there, and INTEGER here"),
        (
            "talk_duration",
            SchemaField("talk_duration", "INT64", "REPEATED"),
            "REPEATED INT64 there, and INTEGER here",
        ),
        ("tags", SchemaField("tags", "STRING", "REPEATED"), "REPEATED STRING there, and a table of its own here"),
    ):
        client.create_table(Table(f"{project}.comagic.calls", [SchemaField("id", "INT64"), field]))
        result = command(**environment)
        assert (result.code, f"{name} is {shape}" in result.err) == (2, True), result.err
        assert "dataset_name in .dlt/config.toml" in result.err
        client.delete_table(f"{project}.comagic.calls")
    assert sandbox.requests == 0
    result = command(**environment)
    assert result.code == 0, result.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
