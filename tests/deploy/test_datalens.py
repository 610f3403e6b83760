"""The DataLens dashboard: each request passes the models of DataLens's own SDK, and names columns of the views."""

import base64
import runpy
from pathlib import Path
from typing import Any

import pytest
from datalens_sdk import DataLensClientYC

from comagic.load.views.definitions import views
from tests.support.datalens import DataLens
from tests.support.processes import ROOT

SCRIPT = runpy.run_path(str(ROOT / "deploy" / "datalens" / "dashboard.py"), run_name="dashboard")


def build(stand_in: DataLens, *words: str) -> Any:
    """Runs the script against the stand-in; returns the dashboard."""
    with DataLensClientYC(auth=None, base_url=stand_in.url) as client:
        return SCRIPT["run"](client, SCRIPT["parse_arguments"](["--workbook", "book", *words]))


def test_dashboard_over_postgres_passes_the_models_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "secret")
    with DataLens() as stand_in:
        dashboard = build(stand_in, "--postgres", "host=db,port=6432,db=calls,user=reader", "--dataset", "own")
    assert dashboard.validate() == ()
    (connection,) = stand_in.sent("createConnection")
    expected = {"type": "postgres", "host": "db", "port": 6432, "db_name": "calls", "username": "reader"}
    assert {name: connection[name] for name in expected} == expected
    sources = [body["dataset"]["sources"][0] for body in stand_in.sent("createDataset")]
    assert {one["parameters"]["table_name"] for one in sources} == set(SCRIPT["MEASURES"])
    assert {one["parameters"]["schema_name"] for one in sources} == {"own"}
    assert len(stand_in.sent("createWizardChart")) == len(SCRIPT["CHARTS"]) == 8
    assert len(stand_in.sent("createDashboard")) == 1


def test_dashboard_over_bigquery_is_in_russian(place: Path) -> None:
    (place / "reader.json").write_text('{"type": "service_account"}', "utf-8")
    with DataLens() as stand_in:
        build(stand_in, "--bigquery", "my-project", "--key", "reader.json", "--language", "ru")
    (connection,) = stand_in.sent("createConnection")
    assert connection["project_id"] == "my-project"
    assert base64.b64decode(connection["credentials"]) == b'{"type": "service_account"}'
    titles = {body["name"] for body in stand_in.sent("createWizardChart")}
    assert titles >= {"Звонки", "Кампании и расходы", "Кто отвечает"}


def test_every_field_of_a_chart_is_a_column_of_its_view_or_a_figure_of_the_dataset() -> None:
    for chart in SCRIPT["CHARTS"]:
        known = {*views()[chart.view].columns, *SCRIPT["RATIOS"].get(chart.view, ())}
        assert {name for names in chart.slots.values() for name in names} <= known, chart.name
        assert chart.titles.keys() == {"en", "ru"}
    for view, names in SCRIPT["MEASURES"].items():
        assert set(names) <= set(views()[view].columns)
