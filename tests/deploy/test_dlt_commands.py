"""dlt's own commands on this repository, as far as they go without GitHub, where dlt keeps its templates."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import yaml

from tests.conftest import LONG_AGO, ROOT, TODAY, Serve, Warehouse, access_to, expected_calls, recent_account

DLT = str(Path(sys.executable).parent / "dlt")
TEMPLATE = {
    "github-action/run_pipeline_workflow.yml": """
on: {push: {}, workflow_dispatch: {}, schedule: []}
jobs: {run_pipeline: {runs-on: ubuntu-latest, steps: [{run: python pipeline.py}]}}
""".replace("on:", '"on":'),
    "github-action/requirements_blacklist.txt": "",
    "airflow-composer/requirements_blacklist.txt": "",
    "airflow-composer/cloudbuild.yaml": "steps: []\n",
    "airflow-composer/dag_template.py": "# a DAG of no source in particular\n",
}
"""Stands for https://github.com/dlt-hub/dlt-deploy-template, with what dlt relies on and nothing else."""


def done(folder: Path, *words: str, **environment: str) -> str:
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
    done(folder, "git", "add", "--all")
    done(folder, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--message", "t")


def test_dlt_init_copies_the_source_into_a_project(serve: Serve, place: Path) -> None:
    account = recent_account(3)
    project = place / "project"
    project.mkdir()
    done(place, str(ROOT / "deploy" / "as_dlt_source"), str(place / "source"))
    told = done(project, DLT, "init", "comagic", "duckdb", "--location", str(place / "source"))
    assert "Verified source comagic was added to your project!" in told
    assert "dlt[" in (project / "requirements.txt").read_text()
    start = (TODAY - timedelta(days=40)).isoformat()
    script = project / "comagic_pipeline.py"
    script.write_text(script.read_text().replace("2026-01-01", start))
    done(project, sys.executable, script.name, **access_to(serve(account)))
    warehouse = Warehouse(project)
    warehouse.file = next(project.glob("*.duckdb"))
    (found,) = warehouse.query("SELECT count(*), count(DISTINCT id) FROM calls_of_comagic.calls")
    assert found == (len(expected_calls(account, LONG_AGO)),) * 2


def test_dlt_deploy_makes_its_workflow_of_this_repository(serve: Serve, place: Path) -> None:
    """What it lacks, and why the workflow in .github is the better one: deploy/README.md."""
    template, remote, clone = place / "template", place / "remote.git", place / "clone"
    for name, text in TEMPLATE.items():
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_text(text)
    done(template, "git", "init", "--quiet")
    commit(template)
    done(place, "git", "init", "--quiet", "--bare", str(remote))
    done(place, "git", "clone", "--quiet", str(ROOT), str(clone))
    address = "https://github.com/example/comagic.git"  # dlt asks for one at GitHub; git is led to the bare one
    done(clone, "git", "remote", "set-url", "origin", address)
    done(clone, "git", "config", f"url.{remote}.insteadOf", address)
    done(clone, sys.executable, "comagic_pipeline.py", **access_to(serve(recent_account(1))))
    words = ("deploy", "comagic_pipeline.py", "github-action", "--schedule", "17 1 * * *", "--location", str(template))
    told = done(clone, DLT, *words)
    assert "Your github-action deployment for pipeline comagic in script comagic_pipeline.py is ready!" in told
    made = yaml.safe_load((clone / ".github" / "workflows" / "run_comagic_workflow.yml").read_text())
    assert made["jobs"]["run_pipeline"]["steps"][-1]["run"] == "python 'comagic_pipeline.py'"
    secret = "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"
    assert made["env"][secret] == f"${{{{ secrets.{secret} }}}}"
    assert made[True if True in made else "on"]["schedule"] == [{"cron": "17 1 * * *"}], "in UTC: it knows no zone"
    assert "concurrency" not in made
    assert "pytest" in (clone / "requirements_github_action.txt").read_text(), "it freezes all that is installed"
    words = (
        "deploy",
        "comagic_pipeline.py",
        "airflow-composer",
        "--secrets-format",
        "env",
        "--location",
        str(template),
    )
    assert "Your airflow-composer deployment for pipeline comagic is ready!" in done(clone, DLT, *words)
    made_dag = (clone / "dags" / "dag_comagic.py").read_text()
    assert made_dag == TEMPLATE["airflow-composer/dag_template.py"], "as it was: the source is for you to fill in"
    commit(clone)
    done(clone, "git", "push", "--quiet", "origin", "HEAD:main")
