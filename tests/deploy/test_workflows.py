"""GitHub's workflows: by the schema, by a linter, and the step that loads run as it is written."""

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
from tests.conftest import ROOT, TODAY, BigQuery, Serve, access_to, recent_account

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent

every_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def checked(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, **options)


def read(file: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(file.read_text("utf-8"))
    return found


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in read(file)["jobs"].values() for step in job["steps"]]


def load_step() -> dict[str, Any]:
    (step,) = [step for step in steps(ROOT / ".github" / "workflows" / "load.yml") if step.get("name") == "Load"]
    return step


@every_workflow
def test_it_keeps_to_the_schema_and_a_linter_finds_nothing(file: Path) -> None:
    for words in (("check-jsonschema", "--builtin-schema", "vendor.github-workflows"), ("zizmor", "--offline")):
        ended = checked(BIN / words[0], *words[1:], file)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@every_workflow
def test_actions_are_pinned_rights_are_named_and_time_is_limited(file: Path) -> None:
    text = file.read_text("utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    of = read(file)
    assert of["permissions"] == {}
    assert of["concurrency"]["group"]
    assert all(job["timeout-minutes"] and job["permissions"] for job in of["jobs"].values())


@every_workflow
def test_its_shell_is_sound(file: Path) -> None:
    for step in steps(file):
        if "run" in step:
            ended = checked(BIN / "shellcheck", "--shell=bash", "-", input=step["run"])
            assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("script", [".ci/run", ".ci/airflow", "deploy/as_dlt_source"])
def test_scripts_are_sound(script: str) -> None:
    ended = checked(BIN / "shellcheck", ROOT / script)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("page", ["README.md", "deploy/README.md"])
def test_the_shell_of_the_pages_is_sound(page: str) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        ended = checked(BIN / "shellcheck", "--shell=bash", "-", input=block)
        assert ended.returncode == 0, block + ended.stdout


def test_the_schedule_is_in_moscow_off_the_full_hour_and_runs_do_not_overlap() -> None:
    of = read(ROOT / ".github" / "workflows" / "load.yml")
    (entry,) = of[True]["schedule"]  # YAML takes `on` for true
    assert entry == {"cron": "17 1 * * *", "timezone": "Europe/Moscow"}
    assert of["concurrency"] == {"group": "load", "cancel-in-progress": False}
    limit = float(load_step()["env"]["SOURCES__COMAGIC__MAX_MINUTES"])
    assert limit < of["jobs"]["load"]["timeout-minutes"] - 5


def test_python_versions_are_those_of_the_tools_settings() -> None:
    matrix = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["ci"]["strategy"]["matrix"]["python"]
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'python_version = "{matrix[0]}"' in settings
    assert f'target-version = "py{matrix[0].replace(".", "")}"' in settings


def rendered(env: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """The environment as GitHub fills it in: what is given, or what stands behind `||`."""

    def value(found: re.Match[str]) -> str:
        name, _, default = (part.strip() for part in found.group(1).partition("||"))
        return given.get(name) or default.strip("'")

    return {name: re.sub(r"\$\{\{(.*?)\}\}", value, str(text)) for name, text in env.items()}


def run_load(sandbox: SandboxServer, warehouse: BigQuery, given: dict[str, str], **more: str) -> tuple[int, str]:
    """Runs the step that loads, as the runner does: its script by bash, in its environment."""
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
        **rendered(step["env"], {**settings, **given}),
        **{name: of for name, of in warehouse.environment.items() if name not in step["env"]},
        **{"LOAD__WORKERS": "1", "COLUMNS": "200", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **more},
    }
    ended = checked("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"], env=environment, cwd=ROOT)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_step_that_loads_does_as_it_is_written(serve: Serve, warehouse_in_bigquery: BigQuery) -> None:
    sandbox = serve(recent_account(2))
    by_hand = {"inputs.since": str(TODAY - timedelta(days=30)), "inputs.until": str(TODAY - timedelta(days=20))}
    code, told = run_load(sandbox, warehouse_in_bigquery, {**by_hand, "inputs.resources": "goals tags"})
    assert code == 0, told
    assert f"goals: {TODAY - timedelta(days=30)} 00:00:00 up to {TODAY - timedelta(days=19)} 00:00:00" in told
    assert "tags: read whole" in told
    sandbox.switches.day_limit = 0
    code, told = run_load(sandbox, warehouse_in_bigquery, {"vars.COMAGIC_RESOURCES": "tags"})
    assert (code, "::warning title=Stopped early::" in told) == (0, True), told
    code, told = run_load(serve(switches=Switches(errors={"get.account": "forbidden"})), warehouse_in_bigquery, {})
    assert (code, "forbidden" in told) == (1, True), told
