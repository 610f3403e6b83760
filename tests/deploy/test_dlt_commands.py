"""The commands `dlt init` and `dlt deploy` on this repository, without GitHub, where dlt's templates are."""

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tests.support.accounts import LONG_AGO, TODAY, access_to, expected_calls, recent_account
from tests.support.processes import ROOT, Serve
from tests.support.warehouses import Warehouse

DLT = str(Path(sys.executable).parent / "dlt")
TEMPLATE = {
    "github-action/run_pipeline_workflow.yml": """
on: {push: {}, workflow_dispatch: {}, schedule: []}
jobs: {run_pipeline: {runs-on: ubuntu-latest, steps: [{run: python pipeline.py}]}}
""".replace("on:", '"on":'),
    "github-action/requirements_blacklist.txt": "",
    "airflow-composer/requirements_blacklist.txt": "",
    "airflow-composer/cloudbuild.yaml": "steps: []\n",
    "airflow-composer/dag_template.py": "# a DAG template without a source\n",
}
"""Replaces https://github.com/dlt-hub/dlt-deploy-template; it has only what dlt relies on."""


def run_command(folder: Path, *words: str, **environment: str) -> str:
    ended = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        input="y\n" * 9,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def commit(folder: Path) -> None:
    run_command(folder, "git", "add", "--all")
    run_command(
        folder, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--message", "t"
    )


@pytest.mark.expensive(8)
def test_dlt_init_copies_the_source_into_a_project(serve: Serve, place: Path) -> None:
    account = recent_account(3)
    project = place / "project"
    project.mkdir()
    run_command(place, str(ROOT / "deploy" / "as_dlt_source"), str(place / "source"))
    output = run_command(project, DLT, "init", "comagic", "duckdb", "--location", str(place / "source"))
    assert "Verified source comagic was added to your project!" in output
    assert "dlt[" in (project / "requirements.txt").read_text()
    start = (TODAY - timedelta(days=40)).isoformat()
    script = project / "comagic_pipeline.py"
    script.write_text(script.read_text().replace("2026-01-01", start))
    run_command(project, sys.executable, script.name, **access_to(serve(account)))
    warehouse = Warehouse(project)
    warehouse.file = next(project.glob("*.duckdb"))
    (counts,) = warehouse.query("SELECT count(*), count(DISTINCT id) FROM calls_of_comagic.calls")
    assert counts == (len(expected_calls(account, LONG_AGO)),) * 2


@pytest.mark.expensive
def test_dlt_deploy_creates_a_github_workflow_and_a_dag_for_this_repository(serve: Serve, place: Path) -> None:
    """What the workflow lacks compared with the one in .github: deploy/README.md, dlt deploy."""
    template, remote, clone = place / "template", place / "remote.git", place / "clone"
    for name, text in TEMPLATE.items():
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_text(text)
    run_command(template, "git", "init", "--quiet")
    commit(template)
    run_command(place, "git", "init", "--quiet", "--bare", str(remote))
    # A copy, not a clone: an unpacked ZIP has no history.
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "*_cache", "__pycache__", ".hypothesis", "*.duckdb*", "secrets.toml"
    )
    shutil.copytree(ROOT, clone, ignore=ignored)
    run_command(clone, "git", "init", "--quiet")
    commit(clone)
    address = "https://github.com/example/comagic.git"  # dlt requires a GitHub URL; git redirects it to `remote`
    run_command(clone, "git", "remote", "add", "origin", address)
    run_command(clone, "git", "config", f"url.{remote}.insteadOf", address)
    run_command(clone, sys.executable, "comagic_pipeline.py", **access_to(serve(recent_account(1))))
    words = ("deploy", "comagic_pipeline.py", "github-action", "--schedule", "17 1 * * *", "--location", str(template))
    output = run_command(clone, DLT, *words)
    assert "Your github-action deployment for pipeline comagic in script comagic_pipeline.py is ready!" in output
    workflow = yaml.safe_load((clone / ".github" / "workflows" / "run_comagic_workflow.yml").read_text())
    assert workflow["jobs"]["run_pipeline"]["steps"][-1]["run"] == "python 'comagic_pipeline.py'"
    secret = "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"
    assert workflow["env"][secret] == f"${{{{ secrets.{secret} }}}}"
    assert workflow[True if True in workflow else "on"]["schedule"] == [{"cron": "17 1 * * *"}], (
        "in UTC, without a time zone"
    )
    assert "concurrency" not in workflow
    assert "pytest" in (clone / "requirements_github_action.txt").read_text(), "dlt deploy pins every installed package"
    words = (
        "deploy",
        "comagic_pipeline.py",
        "airflow-composer",
        "--secrets-format",
        "env",
        "--location",
        str(template),
    )
    assert "Your airflow-composer deployment for pipeline comagic is ready!" in run_command(clone, DLT, *words)
    dag = (clone / "dags" / "dag_comagic.py").read_text()
    assert dag == TEMPLATE["airflow-composer/dag_template.py"], "unchanged: the source is left to you"
    commit(clone)
    run_command(clone, "git", "push", "--quiet", "origin", "HEAD:main")
