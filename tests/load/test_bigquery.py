"""BigQuery, by dlt's real destination against an emulator: the same tables as in DuckDB, whatever happens."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from comagic.sandbox import Switches
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import ROOT, Command, Serve, die_before_noting
from tests.support.warehouses import BigQuery, Warehouse


def test_the_same_tables_as_in_duckdb_through_all_changes(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    sandbox = serve(account)
    ids = list(expected_calls(account, datetime.combine(TODAY - timedelta(days=10), datetime.min.time())))
    tag = {"tag_id": 2**40, "tag_name": "Перезвонить 🔥 \"сегодня\"\nутром, 'лид'; --", "tag_type": "manual"}

    def load() -> None:
        for environment in ({}, warehouse_in_bigquery.environment):
            folder = {"DLT_DATA_DIR": str(place / ("bigquery" if environment else "duckdb"))}
            shown = command(**access_to(sandbox), **environment, **folder)
            assert shown.code == 0, shown.err
        expected = expected_calls(account, LONG_AGO)
        in_bigquery, in_duckdb = warehouse_in_bigquery.calls(), Warehouse(place).calls()
        assert differences(in_bigquery, expected) == []
        assert differences(in_bigquery, in_duckdb) == []

    load()
    account.change(ids[0], tags=[{**dict.fromkeys(("tag_user_id", "tag_user_login")), **tag}])
    account.change(ids[1], tags=[], sale_cost=0.1, sale_date="2026-03-29 02:30:00")
    account.change(ids[2], tags=None, search_query="квартира «у метро» \\ \t {json: [1]}")
    load()
    uploaded = account.upload(datetime.combine(TODAY - timedelta(days=5), datetime.min.time()))
    shutil.rmtree(place / "bigquery")  # the state comes back from the destination
    before = sandbox.requests
    load()
    assert uploaded in warehouse_in_bigquery.calls()
    assert sandbox.requests - before <= 10, "the fresh disk began from the beginning"


def test_a_new_field_becomes_a_column(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    sandbox = serve(recent_account(2))
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment}
    assert command(**environment).code == 0
    sandbox.switches.undocumented_key = "hold_duration"
    shown = command(**environment)
    assert (shown.code, "calls.hold_duration" in shown.out) == (0, True), shown.err
    assert warehouse_in_bigquery.query("SELECT count(hold_duration) FROM calls") > [(0,)]


def test_a_second_run_without_news_changes_nothing(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    environment = {**access_to(serve(recent_account())), **warehouse_in_bigquery.environment}
    assert command(**environment).code == 0
    before = warehouse_in_bigquery._rows("calls")
    assert command(**environment).code == 0
    assert warehouse_in_bigquery._rows("calls") == before


def test_status_reads_bigquery(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    environment = {**access_to(serve(recent_account())), **warehouse_in_bigquery.environment}
    assert "Nothing has been loaded yet" in command("status", **environment).out
    assert command(**environment).code == 0
    shown = command("status", "--max-age-hours", "1", **environment)
    assert (shown.code, "0.0 hours ago" in shown.out) == (0, True), shown.out


def test_an_emulator_needs_a_project(serve: Serve, command: Command) -> None:
    shown = command("--destination", "bigquery", **access_to(serve()), BIGQUERY_EMULATOR_HOST="http://127.0.0.1:1")
    assert (shown.code, "destination.bigquery.project_id" in shown.err) == (2, True), shown.err


def test_without_access_to_google_a_sentence_says_how_to_get_it(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    shown = command("--destination", "bigquery", **access_to(serve()))
    assert shown.code == 2, shown.err
    assert "gcloud auth application-default login" in shown.err
    assert "Traceback" not in shown.err


class Google:
    """A server that answers like Google's, and refuses: `refusals` has (part of the path, status, reason, message)."""

    def __init__(self, *refusals: tuple[str, int, str, str]) -> None:
        asked: list[str] = []
        self.asked = asked

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked.append(self.path)
                missing = ("", 404, "notFound", "Not found: Dataset p:comagic")
                _, status, reason, message = next((of for of in refusals if of[0] in self.path), missing)
                error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
                body = json.dumps({"error": error}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.environment = {
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{self.server.server_port}",
            "DESTINATION_TYPE": "bigquery",
            "DESTINATION__BIGQUERY__PROJECT_ID": "p",
            "DESTINATION__BIGQUERY__RETRY_DEADLINE": "2",
        }

    def __enter__(self) -> "Google":
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (
            (
                "/datasets/",
                403,
                "accessDenied",
                "Access Denied: Dataset p:comagic",
            ),
            "BigQuery Data Editor",
        ),
        (
            (
                "/queries",
                403,
                "accessDenied",
                "Access Denied: User does not have bigquery.jobs.create permission",
            ),
            "BigQuery Job User",
        ),
        (("/queries", 400, "invalid", "The project p has not enabled BigQuery."), "destination.bigquery.project_id"),
    ],
)
@pytest.mark.parametrize("words", ["load", "status"])
def test_what_google_refuses_is_told_with_what_to_do(
    serve: Serve, command: Command, refusal: tuple[str, int, str, str], advice: str, words: str
) -> None:
    sandbox = serve(recent_account(1))
    with Google(refusal) as google:
        shown = command(words, **access_to(sandbox), **google.environment)
    assert shown.code == 1, shown.err
    assert refusal[3] in shown.err
    assert advice in shown.err
    assert "Traceback" not in shown.err
    assert sandbox.requests == 0, "points were spent on rows that nobody takes"


def test_a_key_that_google_does_not_take_is_told(run: Command, serve: Serve, place: Path) -> None:
    """In a process of its own: dlt remembers for a while that there was no access."""
    sandbox = serve(recent_account(1))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with Google(("/token", 400, "invalid_grant", "invalid_grant: Invalid JWT Signature.")) as google:
        access = {
            "type": "service_account",
            "project_id": "p",
            "client_email": "loader@p.iam.gserviceaccount.com",
            "private_key": written,
            "token_uri": f"{google.environment['BIGQUERY_EMULATOR_HOST']}/token",
        }
        (place / "key.json").write_text(json.dumps(access))
        application_default = {"GOOGLE_APPLICATION_CREDENTIALS": str(place / "key.json")}
        shown = run("--destination", "bigquery", **access_to(sandbox), **application_default)
    assert shown.code == 1, shown.err
    assert "Google does not accept this access" in shown.err
    assert written.splitlines()[1] not in shown.out + shown.err
    assert set(google.asked) == {"/token"}
    assert sandbox.requests == 0


def test_an_address_that_nobody_serves_is_told_in_time(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1))
    with Google() as google:
        pass
    for words in ("load", "status", "view"):
        began = time.monotonic()
        shown = command(words, **access_to(sandbox), **google.environment)
        assert (shown.code, "cannot be reached" in shown.err) == (1, True), shown.err
        assert time.monotonic() - began < 15, "retry_deadline is 2 seconds"
    assert sandbox.requests == 0


def test_a_dataset_in_another_location_is_told_by_the_setting(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    environment = {**access_to(serve(recent_account(1))), **warehouse_in_bigquery.environment}
    assert command(**environment, DESTINATION__BIGQUERY__LOCATION="EU").code == 0
    shown = command(**environment, DESTINATION__BIGQUERY__LOCATION="europe-west3")
    assert (shown.code, "destination.bigquery.location: it says europe-west3" in shown.err) == (2, True), shown.err
    assert "is in EU" in shown.err
    assert command(**environment, DESTINATION__BIGQUERY__LOCATION="eu").code == 0


def test_a_spent_day_goes_on_in_bigquery_too(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    sandbox = serve(account, Switches(day_limit=4))
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment}
    assert command(**environment).code == 75
    shutil.rmtree(place / "dlt")
    sandbox.switches.day_limit = 100
    assert command(**environment).code == 0
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


def test_the_statements_are_those_that_were_reviewed(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    """`UPDATE_GOLDEN=1 pytest tests/test_bigquery.py -k reviewed` writes the files anew; read what changed."""
    account = recent_account()
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    assert command(**environment).code == 0
    said = [of.replace(warehouse_in_bigquery.project, "project") for of in warehouse_in_bigquery.statements()]
    apart = [re.split(r";\s+(?=(?:CREATE|INSERT|MERGE|DELETE|TRUNCATE|DROP|ALTER|DECLARE) )", of) for of in said]
    single = [" ".join(of.split()).rstrip("; ") for parts in apart for of in parts]
    tables = sorted(of for of in single if re.match(r"CREATE TABLE `project`.`comagic`.`(?!_dlt)", of))
    changing = r"(MERGE INTO|DELETE FROM|INSERT INTO) `project`.`comagic`.`(?!_dlt)"
    merges = sorted((of for of in single if re.match(changing, of)), key=lambda of: of.split("`")[5])
    for name, statements, cut in (("tables", tables, r", (?=`\w+` [A-Z])"), ("merge", merges, r", (?=`)| (?=WHEN )")):
        file = ROOT / "tests" / "data" / f"bigquery_{name}.sql"
        text = "".join(re.sub(cut, lambda found: found.group().rstrip() + "\n    ", of) + ";\n\n" for of in statements)
        if "UPDATE_GOLDEN" in os.environ:
            file.write_text(text, "utf-8")
        assert text == file.read_text("utf-8")
    assert all("description=" in of for of in tables)
    by_table = {of.split("`")[5]: of for of in tables}
    assert "PARTITION BY `partition_date`" in by_table["calls"]
    assert "CLUSTER BY `id`" in by_table["calls"]
    children = [of for name, of in by_table.items() if name.startswith("calls__")]
    assert len(children) == 4
    assert all("CLUSTER BY `_dlt_root_id`" in of for of in children)
    assert all(" ON d.`" in of for of in merges if of.startswith("MERGE")), "no statement without a key"
    assert all(" WHERE " in of for of in merges if of.startswith("DELETE"))


def test_the_flat_view_is_the_same_in_both(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    sandbox = serve(account)
    truth = {key: [tag["tag_name"] for tag in call["tags"]] for key, call in expected_calls(account, LONG_AGO).items()}
    shown = command("view")
    assert (shown.code, "load first" in shown.err) == (1, True), shown.err
    for environment in ({}, warehouse_in_bigquery.environment):
        assert command(**access_to(sandbox), **environment).code == 0
        for _ in range(2):
            shown = command("view", **environment)
            assert (shown.code, "calls_flat" in shown.out) == (0, True), shown.err
    sql = "SELECT id, tags, campaign_name, PARTITION_DATE FROM calls_flat ORDER BY id"
    rows = Warehouse(place).query(sql)
    assert rows == warehouse_in_bigquery.query(sql)
    assert {key: tags for key, tags, *_ in rows} == truth


def test_a_load_job_that_fails_is_told_and_nothing_is_lost(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    assert command(**environment).code == 0

    def reshape(kind: str) -> None:
        table = f"`{warehouse_in_bigquery.project}`.comagic_staging.calls"
        for change in ("DROP COLUMN talk_duration", f"ADD COLUMN talk_duration {kind}"):
            warehouse_in_bigquery.client.query_and_wait(f"ALTER TABLE {table} {change}")

    reshape("DATE")
    account.change(next(iter(expected_calls(account, LONG_AGO))), sale_cost=17.5)
    cursor = "SELECT max(window_end) FROM load_windows JOIN _dlt_loads ON load_id = _dlt_load_id WHERE is_incremental"
    before = warehouse_in_bigquery.query(cursor)
    shown = command(**environment)
    assert (shown.code, "The destination refused: the rows of calls" in shown.err) == (1, True), shown.err
    assert "to DATE" in shown.err, "what the job said"
    assert warehouse_in_bigquery.query(cursor) == before
    reshape("INT64")
    shown = command(**environment, SOURCES__COMAGIC__LOOKBACK_DAYS="60")
    assert shown.code == 0, shown.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


def test_killed_while_it_loads_and_the_next_run_is_right(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    die_before_noting("calls", environment)
    shown = command(**environment)
    assert (shown.code, "half loaded; its rows are read again" in shown.err) == (0, True), shown.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


def test_killed_before_it_loads_and_the_next_run_finishes_the_package_and_reads_on(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    dies = (
        "import os, dlt, comagic_pipeline; dlt.Pipeline.load = lambda *_, **__: os._exit(9); "
        "run_command_line(load_comagic)"
    )
    everything = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", dies], env=everything, capture_output=True, check=False)
    assert ended.returncode == 9, ended.stderr
    uploaded = account.upload(datetime.combine(TODAY - timedelta(days=5), datetime.min.time()))
    shown = command(**environment)
    assert (shown.code, "Finishing the load package" in shown.err) == (0, True), shown.err
    found = warehouse_in_bigquery.calls()
    assert uploaded in found
    assert differences(found, expected_calls(account, LONG_AGO)) == []
