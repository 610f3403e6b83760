"""The package: what is in it, what it needs, and that it works in a dlt project, and without what it does not need."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from comagic import __version__
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import ROOT, Serve
from tests.support.warehouses import PostgreSQL

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LICENSES = re.compile(r"(LICENSE|LICENCE|NOTICE|COPYING)[^/]*$")
GIT = shutil.which("git") or "git"
DLT = str(Path(sys.executable).parent / "dlt")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this folder."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (built,) = folder.glob("*.whl")
    return built


def merged(lines: list[str]) -> dict[str, tuple[set[str], str]]:
    """Extras and versions by package."""
    found: dict[str, tuple[set[str], str]] = {}
    for requirement in map(Requirement, lines):
        extras, _ = found.get(name := canonicalize_name(requirement.name), (set(), ""))
        found[name] = (extras | requirement.extras, str(requirement.specifier))
    return found


def test_requirements_are_those_of_the_package_with_bigquery_and_parquet() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    extras = PROJECT["optional-dependencies"]
    packaged = [*PROJECT["dependencies"], *extras["bigquery"], *extras["parquet"]]
    assert merged(packaged) == merged([line for line in lines if line and not line.startswith("#")])


def test_postgres_brings_neither_google_nor_arrow() -> None:
    needed = merged([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["postgres"]])
    assert needed["dlt"][0] == {"duckdb", "postgres"}
    assert not {"pyarrow", "google-cloud-bigquery", "pandas", "numpy"} & needed.keys()


def test_wheel_has_every_file_of_the_package_the_script_and_all_licenses(wheel: Path) -> None:
    listed = subprocess.run([GIT, "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    files = listed.stdout.split() or [str(file.relative_to(ROOT)) for file in ROOT.glob("comagic/**/*.*")]
    wanted = {name for name in files if name.startswith("comagic/") or name == "comagic_pipeline.py"}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == {name for name in wanted if (ROOT / name).exists()}
    own = {name for name in files if LICENSES.search(name) and (name in wanted or "/" not in name)}
    kept = {name.partition(".dist-info/licenses/")[2] for name in names}
    assert "LICENSE" in own
    assert own <= kept


def test_metadata_names_license_version_and_command(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    assert (metadata["Name"], metadata["Version"]) == ("dlt-source-comagic", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    links = re.findall(r"\]\(([^)]+)\)", str(metadata.get_payload()))
    assert [link for link in links if not link.startswith("https://")] == [], "PyPI does not resolve relative links"
    command = archive.read(f"{info}/entry_points.txt").decode().split("\n")[1]
    assert command == "comagic-pipeline = comagic_pipeline:run"


@pytest.mark.expensive(8)
def test_source_of_the_wheel_works_in_a_project_made_by_dlt_init(serve: Serve, place: Path, wheel: Path) -> None:
    account = recent_account(3)
    environment = {**os.environ, **access_to(serve(account)), "PYTHONPATH": str(place / "installed")}
    zipfile.ZipFile(wheel).extractall(place / "installed")
    project = place / "project"
    project.mkdir()

    def run(*words: str) -> str:
        ended = subprocess.run(
            words, cwd=project, env=environment, capture_output=True, text=True, input="y\n", timeout=120, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    # Without a folder of sources dlt looks for them on GitHub; "debug" is a template of its own.
    subprocess.run([ROOT / "deploy" / "as_dlt_source", place / "sources"], check=True)
    run(DLT, "init", "debug", "duckdb", "--location", str(place / "sources"))
    assert (project / "requirements.txt").exists()
    (project / "calls_pipeline.py").write_text(
        "import comagic, dlt\n"
        "from comagic import comagic_source\n"
        "pipeline = dlt.pipeline('calls', destination='duckdb', dataset_name='calls_of_comagic')\n"
        "pipeline.run(comagic_source(), loader_file_format='parquet')\n"
        "print(comagic.__file__, pipeline.last_trace.last_normalize_info.row_counts['calls'])\n"
    )
    file, count = run(sys.executable, "calls_pipeline.py").split()[-2:]
    assert Path(file) == place / "installed" / "comagic" / "__init__.py"
    assert int(count) == len(expected_calls(account, LONG_AGO))


WITHOUT = """
import sys
absent = {"pyarrow", "duckdb", "google", "functions_framework", "pandas", "numpy", "grpc"}
for name in absent | {name for name in sys.modules if name.split(".")[0] in absent}:
    sys.modules[name] = None  # an import of it fails
sys.argv[0] = "comagic-pipeline"
import comagic_pipeline
comagic_pipeline.run()
"""


@pytest.mark.expensive(8)
def test_load_into_postgres_needs_neither_arrow_nor_duckdb_nor_google(
    serve: Serve, place: Path, warehouse_in_postgres: PostgreSQL
) -> None:
    account = recent_account(3)
    environment = {**os.environ, **access_to(serve(account)), **warehouse_in_postgres.environment}
    environment["PYTHONPATH"] = str(ROOT)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT, *words], env=environment, capture_output=True, text=True, check=False
        )

    for words in ([], [], ["status", "--max-age-hours", "1"]):
        ended = run(*words)
        assert ended.returncode == 0, ended.stderr
    assert differences(warehouse_in_postgres.calls(), expected_calls(account, LONG_AGO)) == []
    for name in ("duckdb", "bigquery"):
        ended = run("--destination", name)
        assert (ended.returncode, f'pip install "dlt[{name}]"' in ended.stderr) == (2, True), ended.stderr
