"""deploy/README.md: whatever its commands name exists in the code, and gcloud's flags are in its reference."""

import json
import re
import shlex
from collections.abc import Iterator

import pytest
import yaml

from tests.support.pages import code_blocks, read_page
from tests.support.processes import ROOT
from tests.support.terraform import FOLDER

PAGE = read_page("deploy/README.md")
TERRAFORM = "".join(file.read_text("utf-8") for file in FOLDER.glob("*.tf"))
WORKFLOW = (ROOT / ".github" / "workflows" / "load.yml").read_text("utf-8")
REFERENCE = json.loads((ROOT / "tests" / "data" / "gcloud_flags.json").read_text("utf-8"))
"""Flags by command, copied from Google's reference of gcloud, with the address of each page."""
SHELL = [
    *code_blocks(PAGE, "sh"),
    *(step["run"] for step in yaml.safe_load(WORKFLOW)["jobs"]["load"]["steps"] if "run" in step),
]
SHELL += re.findall(r"^ *# +(gcloud .*)$", (FOLDER / "versions.tf").read_text("utf-8"), re.MULTILINE)


def declared(kind: str) -> set[str]:
    """Names of Terraform's blocks of a kind."""
    return set(re.findall(rf'^{kind} "(\w+)"', TERRAFORM, re.MULTILINE))


def gcloud_commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of gcloud on the page, in the workflow and in versions.tf, and its flags."""
    for script in SHELL:
        text = script.replace("\\\n", " ")
        for found in re.finditer(r"\bgcloud ((?:[^\n\"'|;&)]|\"[^\"]*\"|'[^']*')*)", text):
            words = shlex.split(re.sub(r"\$\(.*?\)", "x", found.group(1)), comments=True)
            own = words[: words.index("--")] if "--" in words else words
            flags = [word.partition("=")[0] for word in own if word.startswith("--")]
            yield " ".join(words), flags


@pytest.mark.parametrize(("command", "flags"), list(gcloud_commands()))
def test_gcloud_command_and_flags_are_in_its_reference(command: str, flags: list[str]) -> None:
    known = max((name for name in REFERENCE if command.startswith(name)), key=len, default=None)
    assert known, f"not in the list: {command}"
    everywhere = {
        *REFERENCE["gcloud"]["flags"],
        *(REFERENCE["list commands"]["flags"] if known.endswith("list") else ()),
    }
    assert set(flags) <= everywhere | set(REFERENCE[known]["flags"]), command


def test_commands_are_found() -> None:
    assert len(list(gcloud_commands())) > 15


def test_outputs_variables_and_resources_that_the_page_names_exist() -> None:
    assert set(re.findall(r"output (?:-raw|-json) (\w+)", PAGE)) <= declared("output")
    variables = declared("variable")
    table = PAGE.split("| variable | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))) <= variables
    for name in re.findall(r"`(\w+) = [\[{\"t]", PAGE):
        assert name in variables, name
    for kind, name in re.findall(r"(google_\w+)\.(\w+)\[0\]", PAGE):
        assert f'resource "{kind}" "{name}"' in TERRAFORM
    for path in re.findall(r"(?:--config|-var-file=|cp) (?:deploy/terraform/)?([\w./]+\.(?:yaml|tfvars))", PAGE):
        assert (ROOT / path).exists() or (FOLDER / path).exists(), path


def test_every_variable_and_secret_of_the_workflow_is_on_the_page_and_the_other_way_round() -> None:
    used = set(re.findall(r"(?:vars|secrets)\.(\w+)", WORKFLOW))
    table = PAGE.split("| variable or secret | meaning |")[1].split("\n\n")[0]
    assert used == set(re.findall(r"`([A-Z_]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])))


def test_names_of_secret_topic_function_and_job_are_those_of_terraform() -> None:
    for name in (
        "secrets create comagic-access-token",
        "topics publish update_calls",
        "jobs execute comagic-history",
    ):
        assert name in PAGE
    for name in ("${local.name}-access-token", '"update_calls"', "${local.name}-history", "${local.name}-github"):
        assert name in TERRAFORM


def test_roles_that_the_page_names_are_real() -> None:
    granted = set(re.findall(r"roles/[\w.]+", TERRAFORM))
    by_hand = {"roles/pubsub.subscriber"}
    named = set(re.findall(r"roles/[\w.]+", PAGE))
    assert named <= granted | by_hand | {"roles/bigquery.dataEditor"}, named
