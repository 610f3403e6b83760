"""GitHub workflows: checked against the schema and by a linter, and the step that loads is run as written."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from comagic.sandbox import SandboxServer, Switches
from tests.support.accounts import TODAY, access_to, recent_account
from tests.support.pages import code_blocks, markdown_pages, read_page
from tests.support.processes import ROOT, Serve
from tests.support.warehouses import BigQuery

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = [".ci/run", ".ci/airflow", ".ci/proofs", ".ci/package", "deploy/as_dlt_source"]
ALL_PAGES = [str(page.relative_to(ROOT)) for page in markdown_pages()]
PAGES_WITH_SHELL = [page for page in ALL_PAGES if code_blocks(read_page(page), "sh")]
BIN = Path(sys.executable).parent

every_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def run_command(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, **options)


def read_workflow(file: Path) -> dict[Any, Any]:
    workflow: dict[Any, Any] = yaml.safe_load(file.read_text("utf-8"))
    return workflow


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in read_workflow(file)["jobs"].values() for step in job["steps"]]


def load_step() -> dict[str, Any]:
    (step,) = [step for step in steps(ROOT / ".github" / "workflows" / "load.yml") if step.get("name") == "Load"]
    return step


@every_workflow
def test_workflow_matches_the_schema_and_the_linter_reports_nothing(file: Path) -> None:
    for words in (("check-jsonschema", "--builtin-schema", "vendor.github-workflows"), ("zizmor", "--offline")):
        ended = run_command(BIN / words[0], *words[1:], file)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@every_workflow
def test_actions_are_pinned_permissions_named_and_time_is_limited(file: Path) -> None:
    text = file.read_text("utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    workflow = read_workflow(file)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    assert all(job["timeout-minutes"] and job["permissions"] for job in workflow["jobs"].values())


@every_workflow
def test_shell_of_workflow_steps_passes_shellcheck(file: Path) -> None:
    for step in steps(file):
        if "run" in step:
            ended = run_command(BIN / "shellcheck", "--shell=bash", "-", input=step["run"])
            assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_executable_and_pass_shellcheck(script: str) -> None:
    ended = run_command(BIN / "shellcheck", ROOT / script)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize("page", PAGES_WITH_SHELL)
def test_shell_blocks_of_a_page_pass_shellcheck(page: str) -> None:
    for block in code_blocks(read_page(page), "sh"):
        ended = run_command(BIN / "shellcheck", "--shell=bash", "-", input=block)
        assert ended.returncode == 0, block + ended.stdout


def test_shell_blocks_are_found_in_the_pages_that_have_commands() -> None:
    guides = {f"docs/{name}.md" for name in ("account", "bigquery", "contributing", "operations")}
    assert {"README.md", "README.ru.md", "deploy/README.md", *guides} <= set(PAGES_WITH_SHELL)


def test_schedule_is_in_moscow_time_off_the_full_hour_and_runs_do_not_overlap() -> None:
    workflow = read_workflow(ROOT / ".github" / "workflows" / "load.yml")
    (entry,) = workflow[True]["schedule"]  # YAML reads `on` as true
    assert entry == {"cron": "17 1 * * *", "timezone": "Europe/Moscow"}
    assert workflow["concurrency"] == {"group": "load", "cancel-in-progress": False}
    limit = float(load_step()["env"]["SOURCES__COMAGIC__MAX_MINUTES"])
    assert limit < workflow["jobs"]["load"]["timeout-minutes"] - 5


def test_report_is_kept_only_if_it_is_wanted() -> None:
    """Everybody may download the artifacts of a public repository."""
    listed = steps(ROOT / ".github" / "workflows" / "load.yml")
    (load,) = [step for step in listed if step.get("name") == "Load"]
    assert (
        load["env"]["SOURCES__COMAGIC__REPORT"] == "${{ vars.COMAGIC_REPORT == 'yes' && 'comagic_report.html' || '' }}"
    )
    (keep,) = [step for step in listed if "upload-artifact" in step.get("uses", "")]
    assert keep["if"].startswith("vars.COMAGIC_REPORT == 'yes' && ")
    assert keep["with"]["path"] == "comagic_report.html"


def test_oldest_python_version_is_the_one_in_pyproject() -> None:
    matrix = read_workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["ci"]["strategy"]["matrix"]["python"]
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'python_version = "{matrix[0]}"' in settings
    assert f'target-version = "py{matrix[0].replace(".", "")}"' in settings


def render(environment: dict[str, str], values: dict[str, str]) -> dict[str, str]:
    """The environment as GitHub fills it in: the given values, else the default after `||`."""

    def value(expression: re.Match[str]) -> str:
        name, _, default = (part.strip() for part in expression.group(1).partition("||"))
        return values.get(name) or default.strip("'")

    return {name: re.sub(r"\$\{\{(.*?)\}\}", value, str(text)) for name, text in environment.items()}


def run_load_step(
    sandbox: SandboxServer, warehouse: BigQuery, folder: Path, values: dict[str, str]
) -> tuple[int, str, dict[str, str]]:
    """Runs the step that loads as the runner does: its script in bash, in its environment.

    Returns:
        The exit code, what was printed, and the entry that was written to Google's log, by a substitute for gcloud.
    """
    gcloud = folder / "gcloud"
    gcloud.write_text('#!/bin/sh\nfor word in "$@"; do :; done\necho "$word" > "$0.entry"\n', "utf-8")
    gcloud.chmod(0o755)
    step = load_step()
    access = access_to(sandbox)
    settings = {
        "vars.GOOGLE_PROJECT": warehouse.project,
        "vars.COMAGIC_BASE_URL": sandbox.base_url,
        "vars.COMAGIC_START_DATE": (TODAY - timedelta(days=3)).isoformat(),
        "secrets.COMAGIC_ACCESS_TOKEN": access["SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"],
    }
    environment = {
        **os.environ,
        **render(step["env"], {**settings, **values}),
        **{name: value for name, value in warehouse.environment.items() if name not in step["env"]},
        **{"LOAD__WORKERS": "1", "COLUMNS": "200", "GITHUB_RUN_ID": "7"},
        "PATH": os.pathsep.join([str(folder), str(BIN), os.environ["PATH"]]),
    }
    ended = run_command(
        "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"], env=environment, cwd=ROOT
    )
    return ended.returncode, ended.stdout + ended.stderr, json.loads(gcloud.with_suffix(".entry").read_text("utf-8"))


@pytest.mark.expensive
def test_load_step_loads_a_period_warns_on_early_stop_and_fails_on_error(
    serve: Serve, warehouse_in_bigquery: BigQuery, tmp_path: Path
) -> None:
    sandbox = serve(recent_account(2))
    period = {"inputs.since": str(TODAY - timedelta(days=30)), "inputs.until": str(TODAY - timedelta(days=20))}
    values = {**period, "inputs.resources": "goals tags"}
    code, output, entry = run_load_step(sandbox, warehouse_in_bigquery, tmp_path, values)
    assert code == 0, output
    assert entry == {"outcome": "loaded", "dataset": "comagic", "message": "GitHub run 7"}, "the alert counts them"
    assert f"goals: {TODAY - timedelta(days=30)} 00:00:00 up to {TODAY - timedelta(days=19)} 00:00:00" in output
    assert "tags: read whole" in output
    sandbox.switches.day_limit = 0
    values = {"vars.COMAGIC_RESOURCES": '["tags"]', "vars.COMAGIC_DATASET": "comagic_dev"}
    code, output, entry = run_load_step(sandbox, warehouse_in_bigquery, tmp_path, values)
    assert (code, "::warning title=Stopped early::" in output) == (0, True), output
    assert (entry["outcome"], entry["dataset"]) == ("stopped early", "comagic_dev")
    denied = serve(switches=Switches(errors={"get.account": "forbidden"}))
    code, output, entry = run_load_step(denied, warehouse_in_bigquery, tmp_path, {})
    assert (code, "forbidden" in output, entry["outcome"]) == (1, True, "failed"), output
