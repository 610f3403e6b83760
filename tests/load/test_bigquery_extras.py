"""What BigQuery offers beside loading: the bill, descriptions, staging through a bucket, datasets, expiry."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, quote, unquote, urlsplit

import duckdb
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.cloud.bigquery import SchemaField, Table

from comagic.catalog import reports
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, Warehouse

Answered = tuple[int, bytes, dict[str, str]]
Answer = Callable[[str, str, bytes, dict[str, str]], Answered]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A server on loopback; the function takes method, path, body and headers, and returns status, body and headers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body, headers = answer(self.command, self.path, sent, dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815  # the base class's names

        def log_message(self, format: str, *args: object) -> None:
            pass

    one = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{one.server_port}"
    finally:
        one.shutdown()
        one.server_close()
        thread.join()


def test_the_summary_tells_what_bigquery_bills(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    """The emulator bills nothing, so a server in front of it writes a quarter of a GiB on each query's job."""
    emulator = warehouse_in_bigquery.environment["BIGQUERY_EMULATOR_HOST"]
    looked_at = []

    def billing(method: str, path: str, body: bytes, headers: dict[str, str]) -> Answered:
        kept = {name: value for name, value in headers.items() if name not in ("Host", "Accept-Encoding")}
        answer = requests.request(method, emulator + path, data=body, headers=kept, timeout=60)
        if method == "GET" and "/jobs/" in path and answer.ok:
            job = answer.json()
            if "query" in job["configuration"]:
                looked_at.append(path)
                job["statistics"].setdefault("query", {})["totalBytesBilled"] = str(2**28)
                return 200, json.dumps(job).encode(), {}
        return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k.lower() == "location"}

    access = access_to(serve(recent_account(1)))
    assert "bills" not in command(**access, **warehouse_in_bigquery.environment).out, "nothing was reported"
    with server(billing) as host:
        shown = command(**access, **{**warehouse_in_bigquery.environment, "BIGQUERY_EMULATOR_HOST": host})
    assert shown.code == 0, shown.err
    assert looked_at
    assert f"bills the run's queries as {len(looked_at) / 4:,.2f} GiB" in shown.out


@pytest.mark.parametrize("where", ["bigquery", "duckdb"])
def test_descriptions_come_to_tables_that_are_there_already(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery, where: str
) -> None:
    environment = warehouse_in_bigquery.environment if where == "bigquery" else {}
    shown = command("describe", **environment)
    assert (shown.code, "Nothing has been loaded yet" in shown.err) == (1, True), shown.err
    assert command(**access_to(serve(recent_account(3))), **environment).code == 0
    shown = command("describe", **environment)
    assert (shown.code, "Described calls" in shown.out) == (0, True), shown.err
    report = reports()["calls"]
    if where == "bigquery":
        table = warehouse_in_bigquery.client.get_table(f"{warehouse_in_bigquery.project}.comagic.calls")
        found = {field.name: field.description for field in table.schema}
        assert table.description == report.description
    else:
        with duckdb.connect(str(Warehouse(place).file), read_only=True) as connection:
            of_calls = "schema_name = 'comagic' AND table_name = 'calls'"
            columns = connection.execute(f"SELECT column_name, comment FROM duckdb_columns() WHERE {of_calls}")
            found = dict(columns.fetchall())
            own = connection.execute(f"SELECT comment FROM duckdb_tables() WHERE {of_calls}").fetchall()
        assert own == [(report.description,)]
    assert all(found.values()), "a column has none"
    assert {name: found[name] for name in report.selected if name in found} == {
        name: report.fields[name].description for name in report.selected if name in found
    }
    assert "there already" in command("describe", **environment).out


class Bucket:
    """Cloud Storage with one bucket, `lake`, whose objects lie where the emulator of BigQuery finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.put: list[str] = []

    def answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answered:
        """Answers as the JSON API of Cloud Storage does."""
        parts, query = urlsplit(path), parse_qs(urlsplit(path).query)
        if parts.path == "/token":
            return 200, json.dumps({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}).encode(), {}
        if parts.path.startswith("/upload/"):
            return self._upload(query, body, headers)
        if "/o/" in parts.path:
            file = self.folder / unquote(parts.path.split("/o/", 1)[1])
            return self._object(method, file, query.get("alt") == ["media"])
        found = [self._described(file) for file in self.folder.rglob("*") if file.is_file()]
        items = [of for of in found if of["name"].startswith(query.get("prefix", [""])[0])]
        return 200, json.dumps({"kind": "storage#objects", "items": items}).encode(), {}

    def _upload(self, query: dict[str, list[str]], body: bytes, headers: dict[str, str]) -> Answered:
        """An upload is asked for first, small ones excepted, and then sent to the address that the answer names."""
        if query.get("uploadType") == ["resumable"]:
            name = json.loads(body)["name"]
            return 200, b"", {"Location": f"http://{headers['Host']}/upload/?name={quote(name, safe='')}"}
        if query.get("uploadType") == ["multipart"]:
            head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
            described, content = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
            name, body = json.loads(bytes(described.get_content()))["name"], content.get_content()
        else:
            (name,) = query["name"]
        self.put.append(name)
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return 200, json.dumps(self._described(file)).encode(), {}

    def _object(self, method: str, file: Path, is_content: bool) -> Answered:
        if not file.is_file():
            return 404, b'{"error": {"code": 404, "message": "Not Found"}}', {}
        if method == "DELETE":
            file.unlink()
            return 204, b"", {}
        if is_content:
            return 200, file.read_bytes(), {}
        return 200, json.dumps(self._described(file)).encode(), {}

    def _described(self, file: Path) -> dict[str, str]:
        name = file.relative_to(self.folder).as_posix()
        size, updated = (
            str(file.stat().st_size),
            datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        )
        return {"kind": "storage#object", "name": name, "bucket": "lake", "size": size, "updated": updated}


def test_staging_loads_through_a_bucket(
    serve: Serve, run: Command, warehouse_in_bigquery: BigQuery, buckets: Path
) -> None:
    account = recent_account(3)
    bucket = Bucket(buckets / "lake")
    bucket.folder.mkdir()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with server(bucket.answer) as host:
        credentials = {
            "type": "service_account",
            "project_id": "p",
            "client_email": "loader@p.iam.gserviceaccount.com",
            "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "token_uri": f"{host}/token",
        }
        access = {
            "STORAGE_EMULATOR_HOST": host,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # it would ask Google what kind of bucket it is
            "DESTINATION__FILESYSTEM__CREDENTIALS": json.dumps(credentials),
            **access_to(serve(account)),
            **warehouse_in_bigquery.environment,
        }
        for _ in range(2):
            shown = run("--staging", "gs://lake/comagic", **access)
            assert shown.code == 0, shown.err
    assert any("calls__tags" in name for name in bucket.put), bucket.put
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


def test_a_large_account_can_do_without_comparing(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account(3)
    switched = {"SOURCES__COMAGIC__SKIP_UNCHANGED_ROWS": "false"}
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment, **switched}
    for _ in range(2):
        assert command(**environment).code == 0
    merges = [of for of in warehouse_in_bigquery.statements() if "MERGE INTO" in of]
    assert merges
    assert not any("IS DISTINCT FROM" in of for of in merges), "columns other than the key are read"
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


def test_a_table_of_another_shape_is_refused_before_anything_is_read(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    sandbox = serve(account)
    google, project = warehouse_in_bigquery.client, warehouse_in_bigquery.project
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment, "LOAD__WORKERS": "1"}
    google.create_dataset(f"{project}.comagic")
    for name, field in {
        "talk_duration": SchemaField("talk_duration", "STRING"),
        "tags": SchemaField("tags", "STRING", "REPEATED"),
    }.items():
        google.create_table(Table(f"{project}.comagic.calls", [SchemaField("id", "INT64"), field]))
        shown = command(**environment)
        assert (shown.code, f"{name} is" in shown.err, "dataset_name" in shown.err) == (2, True, True), shown.err
        google.delete_table(f"{project}.comagic.calls")
    assert sandbox.requests == 0
    shown = command(**environment)
    assert shown.code == 0, shown.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


def test_days_expire_if_wished(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    environment = {**access_to(serve(recent_account(1))), **warehouse_in_bigquery.environment}
    shown = command(**environment, SOURCES__COMAGIC__PARTITION_EXPIRATION_DAYS="0")
    assert (shown.code, "sources.comagic.partition_expiration_days" in shown.err) == (2, True), shown.err
    assert command(**environment, SOURCES__COMAGIC__PARTITION_EXPIRATION_DAYS="400").code == 0
    made = [of for of in warehouse_in_bigquery.statements() if "CREATE TABLE" in of and ".`calls`" in of]
    assert any("partition_expiration_days=400" in of.replace(" ", "") for of in made), made


def test_two_datasets_do_not_touch_each_other(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery
) -> None:
    """Two accounts of one project: on one disk, on a fresh one, each in the dataset that the configuration names."""
    accounts = {"comagic_north": recent_account(2), "comagic_south": recent_account(3, seed=7)}
    sandboxes = {name: serve(account) for name, account in accounts.items()}
    for round_ in range(2):
        for name, sandbox in sandboxes.items():
            before = sandbox.requests
            shown = command(**access_to(sandbox), **warehouse_in_bigquery.environment, DATASET_NAME=name)
            assert shown.code == 0, shown.err
            assert (sandbox.requests - before <= 6) == (round_ == 1), "the other's cursor was taken"
        shutil.rmtree(place / "dlt")
    for name, account in accounts.items():
        ids = warehouse_in_bigquery.client.query_and_wait(
            f"SELECT id FROM `{warehouse_in_bigquery.project}`.{name}.calls ORDER BY id"
        )
        assert [row.id for row in ids] == sorted(expected_calls(account, LONG_AGO))
