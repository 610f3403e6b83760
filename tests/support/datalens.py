"""A stand-in for DataLens's API: it keeps what DataLens's own SDK sends, and responds as the SDK expects it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

from comagic.load.views.definitions import views

TYPES = {"partition_date": "date"}
ENTRY: dict[str, Any] = {
    **dict.fromkeys(("createdAt", "updatedAt"), "2026-01-01T00:00:00.000Z"),
    **dict.fromkeys(("createdBy", "updatedBy", "publishedId", "revId", "savedId", "tenantId"), "x"),
    **{"hidden": False, "public": False, "meta": {}, "scope": "widget", "version": 1, "type": "graph_wizard_node"},
}
"""What an entry of DataLens has besides what was sent."""
TEXTS = ("campaign", "employee", "tag", "source", "medium")


class DataLens:
    """A server that keeps connections, datasets, charts and dashboards.

    Attributes:
        requests: path and body of each request.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._datasets: dict[str, dict[str, Any]] = {}
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])), parse_float=_number)
                method = self.path.rpartition("/")[2]
                stand_in.requests.append((method, body))
                answer = json.dumps(getattr(stand_in, f"_{method}")(body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "DataLens":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def sent(self, method: str) -> list[dict[str, Any]]:
        """Returns the bodies of a method's requests."""
        return [body for name, body in self.requests if name == method]

    def _createConnection(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the API's name
        return {**body, "id": uuid4().hex}

    def _getConnection(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        (created,) = self.sent("createConnection")
        return {**created, "id": body["connectionId"], "db_type": created["type"]}

    def _validateDataset(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        dataset = body["data"]["dataset"]
        for update in body["data"]["updates"]:
            self._apply(dataset, update)
        return {"dataset": dataset, "dataset_errors": []}

    def _createDataset(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        dataset_id = uuid4().hex
        self._datasets[dataset_id] = {**body, "id": dataset_id}
        return self._datasets[dataset_id]

    def _getDataset(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._datasets[body["datasetId"]]

    def _updateDataset(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        stored = self._datasets[body["datasetId"]]
        stored["dataset"] = body["data"]["dataset"]
        return stored

    def _createWizardChart(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._created(body)

    def _createDashboard(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._created(body)

    @staticmethod
    def _created(body: dict[str, Any]) -> dict[str, Any]:
        entry, entry_id = body.get("entry", body), uuid4().hex
        return {"entry": {**ENTRY, **entry, "key": entry.get("name", ""), "entryId": entry_id}}

    @staticmethod
    def _apply(dataset: dict[str, Any], update: dict[str, Any]) -> None:
        """Applies a change of a dataset; every column of the view becomes a field."""
        match update["action"]:
            case "add_source":
                source = update["source"]
                columns = views()[source["parameters"]["table_name"]].columns
                source["raw_schema"] = [_column(name) for name in columns]
                dataset["sources"].append(source)
            case "add_source_avatar":
                avatar = update["source_avatar"]
                dataset["source_avatars"].append(avatar)
                (source,) = dataset["sources"]
                dataset["result_schema"] = [_field(column, avatar["id"]) for column in source["raw_schema"]]
            case "update_field":
                field = next(one for one in dataset["result_schema"] if one["guid"] == update["field"]["guid"])
                field.update(update["field"])
            case "add_field":
                dataset["result_schema"].append(update["field"])
            case "refresh_source":
                pass
            case action:
                raise AssertionError(action)


def _number(text: str) -> float:
    """A number as DataLens sends it back: 12.0 as 12."""
    return int(float(text)) if float(text).is_integer() else float(text)


def _column(name: str) -> dict[str, Any]:
    kind = TYPES.get(name, "string" if name in TEXTS else "integer")
    return {"name": name, "title": name, "user_type": kind, "nullable": True, "native_type": None}


def _field(column: dict[str, Any], avatar_id: str) -> dict[str, Any]:
    return {
        "guid": uuid4().hex,
        "title": column["name"],
        "source": column["name"],
        "avatar_id": avatar_id,
        "calc_mode": "direct",
        "type": "DIMENSION",
        "data_type": column["user_type"],
        "initial_data_type": column["user_type"],
        "cast": column["user_type"],
        "aggregation": "none",
        "hidden": False,
        "description": "",
        "formula": "",
        "valid": True,
    }
