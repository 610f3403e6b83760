"""A report is added by one YAML file: everything else is derived from it, the sandbox included."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from comagic.catalog import LIST, read_report
from tests.support.pages import code_blocks, read_page
from tests.support.processes import ROOT
from tests.support.warehouses import DUCKDB_TYPES, Warehouse

SHORT_DEMO = """
import comagic.cli.demo
from comagic.cli.commands import run_command_line
from comagic_pipeline import load_comagic

comagic.cli.demo.DAYS = 8
run_command_line(load_comagic)
"""


def test_report_added_by_one_yaml_file_is_loaded_from_the_sandbox(place: Path) -> None:
    """A copy of `chats` under another name, and the example in docs/contributing.md."""
    shutil.copytree(ROOT / "comagic", place / "comagic", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "comagic_pipeline.py", place)
    chats = (ROOT / "comagic" / "catalog" / "reports" / "chats.yaml").read_text("utf-8")
    copy = chats.replace("name: chats\n", "name: chat_copies\n").replace("get.chats_report", "get.chat_copies_report")
    (example,) = code_blocks(read_page("docs/contributing.md"), "yaml")
    reports = []
    for name, declaration in (("chat_copies", copy), ("chat_ratings", example)):
        file = place / "comagic" / "catalog" / "reports" / f"{name}.yaml"
        file.write_text(declaration, "utf-8")
        reports.append(read_report(file))
        assert reports[-1].name == name
        assert reports[-1].method == f"get.{name}_report"

    options = [word for report in reports for word in ("--resource", report.name)]
    ended = subprocess.run(
        [sys.executable, "-c", SHORT_DEMO, "load", "--demo", *options],
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    warehouse = Warehouse(place)
    warehouse.file = place / "comagic_demo.duckdb"
    for report in reports:
        ((rows, ids, first, last),) = warehouse.query(
            f"SELECT count(*), count(DISTINCT id), min(date_time), max(date_time) FROM {report.name}"
        )
        assert rows == ids > 500
        assert first < last
        described = warehouse.query(f"DESCRIBE {report.name}")
        types = {name: kind for name, kind, *_ in described}
        for name, field in report.fields.items():
            assert field.type == LIST or types[name] == DUCKDB_TYPES[field.type], name
    ((tags, orphans),) = warehouse.query(
        "SELECT count(*), count(*) FILTER (chats.id IS NULL) FROM chat_copies__tags AS tags "
        "LEFT JOIN chat_copies AS chats ON chats._dlt_id = tags._dlt_root_id"
    )
    assert tags > orphans == 0
    assert warehouse.query("SELECT DISTINCT resource FROM load_windows ORDER BY 1") == [
        ("chat_copies",),
        ("chat_ratings",),
    ]
