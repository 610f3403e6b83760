"""deploy/yandex: run by Terraform itself with a stand-in for Yandex's provider, which knows its documentation.

It was never applied at Yandex.
"""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from comagic.api.brands import BRANDS
from comagic.catalog import resources
from comagic.cli.cloud_function import HISTORY_COMMAND, parse_request
from comagic.cli.commands import cli
from comagic.settings import KNOWN, KNOWN_CREDENTIALS, NotificationSettings, declared_settings
from tests.support.pages import code_blocks, read_page
from tests.support.processes import ROOT
from tests.support.terraform import PROGRAM, YANDEX_FOLDER, YANDEX_SCHEMAS, Terraform, read_schemas, terraform
from tests.support.yandex_schemas import used_types

needs_terraform = pytest.mark.skipif(PROGRAM is None, reason="terraform is not installed")

BASE = {"folder_id": "b1g", "start_date": "2026-11-01", "database_password": "taken-from-lockbox"}
EXISTING = {**BASE, "database": {"host": "db.my-company.com", "name": "calls", "user": "loader"}}
EVERYTHING = {
    **BASE,
    "hourly_schedule": "47 3-20 ? * * *",
    "static_address": True,
    "webhook_host": "hooks.slack.com",
    "history": True,
    "image": "cr.yandex/crp/comagic:1",
}
LEAST_ROLES = {
    "yandex_lockbox_secret_iam_member": {"lockbox.payloadViewer"},
    "yandex_function_iam_member": {"functions.functionInvoker"},
    "yandex_container_registry_iam_binding": {"container-registry.images.puller"},
}
"""All role grants: each is on the one secret, function or registry, none on the folder."""
BEFORE = {
    "yandex_function.load": {
        "yandex_lockbox_secret_iam_member.loader",
        "yandex_storage_object.source",
        "yandex_mdb_postgresql_database.calls",
        "yandex_compute_instance.proxy",
    },
    "yandex_function_trigger.load": {"yandex_function.load", "yandex_function_iam_member.trigger"},
    "yandex_serverless_container.history": {
        "yandex_lockbox_secret_iam_member.loader",
        "yandex_container_registry_iam_binding.loader",
        "yandex_mdb_postgresql_database.calls",
        "yandex_compute_instance.proxy",
    },
    "yandex_compute_instance.proxy": {"yandex_vpc_address.egress", "yandex_vpc_subnet.loader"},
}
ENVIRONMENT_BYTES = 4096
"""What a function's environment may take, names and secrets included."""
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "schedule of five fields": ({"schedule": "17 1 * * *"}, "A schedule has six fields"),
    "schedule without ?": ({"hourly_schedule": "47 * * * * *"}, "A schedule has six fields"),
    "name": ({"name": "Comagic"}, "The name has 3 to 32"),
    "image": ({"image": "cr.yandex/x"}, "set history = true"),
}


PAGES = ["deploy/yandex/README.md", "deploy/yandex/README.ru.md"]
PAGE = read_page(PAGES[0])
YC = json.loads((ROOT / "tests" / "data" / "yc_flags.json").read_text("utf-8"))
"""Flags of yc's commands, copied from Yandex's documentation, with the address of each page."""


def files() -> str:
    """All of Terraform's files."""
    return "".join(file.read_text("utf-8") for file in YANDEX_FOLDER.glob("*.tf"))


def declared(kind: str) -> set[str]:
    """Names of Terraform's blocks of a kind."""
    return set(re.findall(rf'^{kind} "(\w+)"', files(), re.MULTILINE))


@pytest.fixture
def yandex(tmp_path: Path) -> Iterator[Terraform]:
    """Terraform with nothing applied, and a ZIP that stands for the built one."""
    with terraform(tmp_path, "default", YANDEX_FOLDER, YANDEX_SCHEMAS) as program:
        (program.own / "function.zip").write_bytes(b"built")
        yield program


def apply(program: Terraform, variables: dict[str, Any]) -> dict[str, Any]:
    """Applies, then plans again: nothing may be left to do. Returns the state."""
    ended = program.run("apply", "-auto-approve", **variables)
    assert ended.returncode == 0, ended.stderr
    again = program.run("plan", "-detailed-exitcode", **variables)
    assert again.returncode == 0, again.stdout + again.stderr
    return program.state()


def by_type(state: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The resources of a type."""
    return [values for address, values in state.items() if address.split(".")[0] == kind]


@needs_terraform
def test_every_argument_is_in_the_providers_documentation(yandex: Terraform) -> None:
    ended = yandex.run("validate")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    broken = yandex.own / "function.tf"
    broken.write_text(broken.read_text("utf-8").replace("cron_expression ", "cron "), "utf-8")
    assert 'An argument named "cron" is not expected here' in yandex.run("validate").stderr


@needs_terraform
def test_everything_is_applied_and_no_secret_is_in_the_state(yandex: Terraform) -> None:
    state = apply(yandex, EVERYTHING)
    stored = "".join(file.read_text("utf-8") for file in yandex.own.glob("terraform.tfstate*"))
    assert "yandex_mdb_postgresql_user" in stored
    assert BASE["database_password"] not in stored
    (function,) = by_type(state, "yandex_function")
    (container,) = by_type(state, "yandex_serverless_container")
    assert function["entrypoint"] == "comagic_pipeline.handler"
    assert container["runtime"] == [{"type": "task"}]
    command, *words = container["image"][0]["args"]
    with cli.make_context("comagic", [command, *words]) as parent:
        context = cli.commands[command].make_context(command, words, parent=parent)
        assert context.params["max_minutes"] * 60 < int(container["execution_timeout"].removesuffix("s"))
    for environment, secrets in (
        (function["environment"], function["secrets"]),
        (container["image"][0]["environment"], container["secrets"]),
    ):
        check_environment({**environment, **{one["environment_variable"]: "x" * 128 for one in secrets}})
        assert {one["version_id"] for one in secrets} == {"yandex_lockbox_secret:current_version.id"}
        proxy = "http://yandex_compute_instance:network_interface.ip_address:8888"
        assert (environment["HTTPS_PROXY"], environment["NO_PROXY"]) == (proxy, "hooks.slack.com")
    assert function["environment"][HISTORY_COMMAND].endswith(container["url"])
    timers = {one["name"]: one["timer"][0] for one in by_type(state, "yandex_function_trigger")}
    requests = {name: parse_request(timer["payload"]) for name, timer in timers.items()}
    assert requests == {"comagic-nightly": [], "comagic-hourly": ["--lookback-days", "1"]}
    (machine,) = by_type(state, "yandex_compute_instance")
    written = yaml.safe_load(machine["metadata"]["user-data"])["write_files"]
    configured = {file["path"]: file["content"] for file in written}
    assert configured["/etc/tinyproxy/filter"] == "^dataapi\\.comagic\\.ru$\n"
    assert {"FilterDefaultDeny Yes", "ConnectPort 443", "Allow 198.19.0.0/16"} <= set(
        configured["/etc/tinyproxy/tinyproxy.conf"].splitlines()
    )
    assert state["output.address"] == "yandex_vpc_address:external_ipv4_address.address"


def check_environment(environment: dict[str, str]) -> None:
    """Each setting exists, and all of them fit."""
    known = KNOWN | KNOWN_CREDENTIALS | declared_settings(NotificationSettings).keys() | {"webhook_url"}
    for name in environment:
        section, _, setting = name.rpartition("__")
        if section.startswith(("SOURCES__COMAGIC", "NOTIFICATIONS")):
            assert setting.lower() in known, name
    assert sum(len(name) + len(value) for name, value in environment.items()) < ENVIRONMENT_BYTES


@needs_terraform
@pytest.mark.expensive
def test_existing_database_needs_no_network_and_no_cluster(yandex: Terraform) -> None:
    state = apply(yandex, EXISTING)
    kinds = {address.split(".")[0] for address in state}
    assert not [kind for kind in kinds if kind.startswith(("yandex_mdb", "yandex_vpc", "yandex_compute"))], kinds
    (function,) = by_type(state, "yandex_function")
    assert function["connectivity"] == []
    assert function["environment"]["DESTINATION__POSTGRES__CREDENTIALS__HOST"] == "db.my-company.com"
    query = json.loads(function["environment"]["DESTINATION__POSTGRES__CREDENTIALS__QUERY"])
    assert query["sslmode"] == "verify-full"
    state = apply(yandex, {**EXISTING, "network": {"id": "enp", "subnet_id": "e9b"}, "static_address": True})
    (function,) = by_type(state, "yandex_function")
    assert function["connectivity"] == [{"network_id": "enp"}]
    assert not by_type(state, "yandex_vpc_network")
    (machine,) = by_type(state, "yandex_compute_instance")
    assert machine["network_interface"][0]["subnet_id"] == "e9b"


@needs_terraform
@pytest.mark.expensive
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_the_variables_is_reported_before_anything_is_planned(yandex: Terraform, mistake: str) -> None:
    variables, message = MISTAKES[mistake]
    ended = yandex.run("plan", **{**BASE, **variables})
    assert ended.returncode == 1
    assert message in " ".join(ended.stderr.replace("│", " ").split()), ended.stderr


@needs_terraform
def test_missing_zip_is_reported_and_what_must_exist_before_what(yandex: Terraform) -> None:
    before = yandex.before(**EVERYTHING)
    for address, earlier in BEFORE.items():
        assert earlier <= before[address], (address, earlier - before[address])
    (yandex.own / "function.zip").unlink()
    assert "run deploy/yandex/build first" in yandex.run("plan", **BASE).stderr


def test_accounts_have_the_least_roles_and_nothing_is_public() -> None:
    text = files()
    for kind, granted in LEAST_ROLES.items():
        blocks = re.findall(rf'^resource "{kind}" "\w+" \{{(.*?)^\}}', text, re.MULTILINE | re.DOTALL)
        assert {role for block in blocks for role in re.findall(r'^  role += "(.*)"$', block, re.MULTILINE)} == granted
    assert {kind for kind in used_types() if "_iam_" in kind and "account" not in kind} == set(LEAST_ROLES)
    for forbidden in ("system:allUsers", "system:allAuthenticatedUsers", "static_access_key", "folder_iam", '"editor"'):
        assert forbidden not in text, forbidden
    assert 'resource "yandex_lockbox_secret"' not in text
    assert "assign_public_ip = false" in text


def test_database_is_protected_and_pools_sessions() -> None:
    text = (YANDEX_FOLDER / "database.tf").read_text("utf-8")
    assert len(re.findall(r"deletion_protection += .*var\.deletion_protection", text)) == 2
    assert 'pooling_mode = "SESSION"' in text
    assert "deletion_protection = var.deletion_protection" in (YANDEX_FOLDER / "address.tf").read_text("utf-8")


def test_variables_are_described_used_and_have_real_defaults() -> None:
    text = files()
    variables: dict[str, dict[str, Any]] = {}
    for block in hcl2.loads((YANDEX_FOLDER / "variables.tf").read_text("utf-8"))["variable"]:
        variables.update({name.strip('"'): body for name, body in block.items()})
    for name, variable in variables.items():
        assert variable["description"].strip('"').endswith((".", "folder-id.")), name
        own = len(re.findall(rf"\bvar\.{name}\b", str(variable)))
        assert len(re.findall(rf"\bvar\.{name}\b", text)) > own, name
    assert variables["base_url"]["default"].strip('"') in BRANDS.values()
    values = hcl2.loads((YANDEX_FOLDER / "example.tfvars").read_text("utf-8"))
    assert {name for name in values if not name.startswith("__")} <= set(variables)
    assert {name.strip('"') for name in values["resources"]} <= {*resources(), "all"}


def test_zip_has_the_code_and_packages_without_their_tests_and_is_always_the_same(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    for name in ("dlt/__init__.py", "dlt/typed.pyi", "pyarrow/include/x.h", "pandas/tests/x.py", "psycopg2/x.so"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("x", "utf-8")
    files = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for file in files:
        words = [sys.executable, str(YANDEX_FOLDER / "build"), "--packages", str(packages), "--output", str(file)]
        subprocess.run(words, check=True, capture_output=True)
        (packages / "dlt" / "__init__.py").touch()
    assert files[0].read_bytes() == files[1].read_bytes()
    entries = zipfile.ZipFile(files[0]).infolist()
    assert {entry.date_time[0] for entry in entries} == {1980}, "the time of the build"
    names = {entry.filename for entry in entries}
    own = {name for name in names if not name.startswith("comagic/")}
    assert own == {"comagic_pipeline.py", ".dlt/config.toml", "dlt/__init__.py", "psycopg2/x.so"}
    code = {file.relative_to(ROOT).as_posix() for file in (ROOT / "comagic").rglob("*") if file.is_file()}
    assert names - own == {name for name in code if "__pycache__" not in name}


def test_schemas_are_those_of_what_is_used_and_of_the_version_that_is_required() -> None:
    schemas = read_schemas(YANDEX_SCHEMAS)["yandex"]
    assert {*schemas["resources"], *(f"data.{kind}" for kind in schemas["data"])} == used_types()
    versions = (YANDEX_FOLDER / "versions.tf").read_text("utf-8")
    assert f'">= {schemas["version"].removesuffix(".0")}, < 1.0"' in versions
    assert f'source  = "{schemas["source"]}"' in versions


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_the_same_commands_and_name_what_exists(page: str) -> None:
    text = read_page(page)
    for language in ("sh", "sql", "text"):
        assert code_blocks(text, language) == code_blocks(PAGE, language)
    assert set(re.findall(r"output (?:-raw|-json) (\w+)", text)) <= declared("output")
    table = [line.split("|")[1] for line in text.splitlines() if re.match(r"^\| `[a-z_]+`", line)]
    by_command = {"database_password", "password_version"}
    assert set(re.findall(r"`(\w+)`", "".join(table))) == declared("variable") - by_command
    for name in re.findall(r"-var (\w+)=", text):
        assert name in declared("variable"), name
    (request,) = re.findall(r"--data '(\{.*?\})'", text)
    assert parse_request(request)[:2] == ["--since", "2026-01-01"]
    for key in local_keys():
        assert f'"key": "{key}"' in text or f"`{key}`" in text, key


def local_keys() -> list[str]:
    """Keys of the secret that Terraform refers to."""
    return re.findall(r"^ +(\w+) += \"(?:SOURCES|DESTINATION)__", (YANDEX_FOLDER / "main.tf").read_text("utf-8"), re.M)


def test_commands_of_yc_and_their_flags_are_in_its_documentation() -> None:
    blocks = [*code_blocks(PAGE, "sh"), *code_blocks(read_page("deploy/compose/README.md"), "sh")]
    shell = "\n".join(blocks).replace("\\\n", " ")
    shell += "\n".join(re.findall(r"^\| `(yc .*?)` \|", PAGE, re.MULTILINE))
    commands = re.findall(r"\byc ((?:[^\n|;&)\"']|\"[^\"]*\"|'[^']*')*)", shell)
    assert len(commands) > 10
    for command in commands:
        known = max((name for name in YC if f"yc {command}".startswith(name)), key=len, default=None)
        assert known, command
        assert set(re.findall(r"(?<=\s)--[\w-]+", command)) <= set(YC[known]["flags"]), command
