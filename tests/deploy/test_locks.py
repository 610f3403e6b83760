"""The locks are whole, have hashes, and fit the ranges of requirements.txt; nothing is installed without them."""

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import ROOT

LOCKS = sorted((ROOT / "deploy" / "locks").glob("*.txt"))
FIRST_SAFE = {"requests": "2.32.4", "filelock": "3.20.3"}
"""Releases before these have a published vulnerability."""


def requirements() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def locked(file: Path) -> dict[str, str]:
    """Versions by name; each has to have hashes."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", file.read_text("utf-8"), flags=re.MULTILINE).strip()):
        pinned, *hashes = (line.strip(" \\") for line in entry.splitlines())
        assert hashes, pinned
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in hashes), pinned
        name, version = pinned.split("==")
        found[canonicalize_name(name.split("[")[0])] = version
    return found


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.stem)
def test_lock_fits_the_requirements(file: Path) -> None:
    versions = locked(file)
    without = {"duckdb", "pyarrow"} if file.stem == "postgres" else set()
    assert not without & set(versions), "a function for PostgreSQL has no room for them"
    assert ("google-cloud-bigquery" in versions) == (file.stem != "postgres")
    for requirement in requirements():
        if requirement.name in without:
            continue
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement
    assert ("functions-framework" in versions) == (file.stem == "function")
    assert ("psycopg2-binary" in versions) == (file.stem == "postgres")


def test_lower_bounds_admit_no_release_with_a_published_vulnerability() -> None:
    for requirement in requirements():
        if requirement.name in FIRST_SAFE:
            assert f">={FIRST_SAFE[requirement.name]}" in str(requirement.specifier)


def test_workflow_and_image_install_by_hash_and_before_they_sign_in() -> None:
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "load.yml").read_text("utf-8"))["jobs"].values()
    steps = [f"{step.get('uses', '')} {step.get('run', '')}" for step in job["steps"]]
    (install,) = [nth for nth, step in enumerate(steps) if "pip install" in step]
    assert "--require-hashes" in steps[install]
    assert all(nth > install for nth, step in enumerate(steps) if "google-github-actions/auth" in step)
    image = (ROOT / "Dockerfile").read_text("utf-8")
    assert "ARG LOCK=bigquery\n" in image
    assert "COPY deploy/locks/${LOCK}.txt" in image
    assert "--require-hashes" in image
