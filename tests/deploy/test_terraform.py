"""Terraform files: run by Terraform itself with stand-ins for its providers, and checked against what has to be there.

They were never applied at Google.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from comagic.api.brands import BRANDS
from comagic.catalog import resources
from comagic.cli.cloud_function import EVENT_MINUTES, HISTORY_COMMAND
from comagic.sandbox import SyntheticAccount
from comagic.settings import KNOWN, KNOWN_CREDENTIALS
from tests.support.processes import ROOT
from tests.support.provider_schemas import used_types
from tests.support.terraform import FOLDER, NUMBER, PROGRAM, Terraform, read_schemas, terraform

needs_terraform = pytest.mark.skipif(PROGRAM is None, reason="terraform is not installed")

BASE = {"workspace": "prod", "project": "my-project", "start_date": "2026-11-01"}
FUNCTION = {**BASE, "ways": ["function"]}
EVERYTHING = {
    **BASE,
    "ways": ["github", "function", "job"],
    "github_repository_id": "123456789",
    "image": "europe-west3-docker.pkg.dev/my-project/comagic/comagic",
    "static_address": True,
    "alert_email": "analyst@my-company.com",
    "budget": {"billing_account": "000000-000000-000000", "amount": 20},
    "readers": ["group:analysts@my-company.com", "user:boss@my-company.com"],
}
PERIOD = {"since": "2020-01-01", "until": "2026-10-31", "tasks": 4}
WAYS: dict[str, dict[str, Any]] = {
    "none": {**BASE, "ways": []},
    "github": {**BASE, "ways": ["github"], "github_repository_id": "123456789"},
    "function": FUNCTION,
    "http": {**FUNCTION, "trigger": "http"},
    "job": {**BASE, "ways": ["job"]},
    "built job": {**BASE, "ways": ["job"], "image": "i", "job": PERIOD},
    "everything": EVERYTHING,
}
FUNCTION_TYPE, JOB_TYPE = "google_cloudfunctions2_function", "google_cloud_run_v2_job"
LEAST_ROLES = {
    "google_project_iam_member.loader": {"roles/bigquery.jobUser", "roles/logging.logWriter"},
    "google_project_iam_member.builder": {
        *("roles/artifactregistry.writer", "roles/logging.logWriter"),
        "roles/storage.objectViewer",  # Google's own copy of the source, in gcf-v2-sources-*
    },
    "google_project_iam_member.eventarc": {"roles/eventarc.serviceAgent"},
    "google_pubsub_topic_iam_member.dead": {"roles/pubsub.publisher"},
    "google_secret_manager_secret_iam_member.loader": {"roles/secretmanager.secretAccessor"},
    "google_cloud_run_service_iam_member.trigger": {"roles/run.invoker"},
    "google_cloud_run_service_iam_member.egress": {"roles/run.invoker"},
    "google_service_account_iam_member.github": {"roles/iam.workloadIdentityUser"},
}
"""All role grants, by resource; access to the datasets is in the datasets."""
BUILT = {"artifactregistry", "cloudbuild", "run", "secretmanager", "storage"}
SERVICES = {
    "none": set[str](),
    "github": {"iamcredentials", "sts"},
    "function": {*BUILT, "cloudfunctions", "cloudscheduler", "eventarc", "pubsub"},
    "http": {*BUILT, "cloudfunctions", "cloudscheduler"},
    "job": BUILT,
    "everything": {
        *BUILT,
        *("iamcredentials", "sts", "cloudfunctions", "cloudscheduler", "eventarc", "pubsub"),
        *("compute", "monitoring", "billingbudgets"),
    },
}
"""Services that are switched on beside those that all need, by way."""
BEFORE = {
    "google_cloudfunctions2_function.load": {
        "google_project_service.used",
        "google_project_iam_member.builder",
        "google_project_iam_member.eventarc",
        "google_project_service_identity.agent",
        "google_secret_manager_secret_iam_member.loader",
        "google_storage_bucket_object.source",
        "google_pubsub_topic.update_calls",
        "google_compute_router_nat.egress",
        "time_sleep.granted",
    },
    "google_cloud_run_v2_job.history": {
        "google_project_service.used",
        "google_secret_manager_secret_iam_member.loader",
        "google_compute_router_nat.egress",
        "time_sleep.granted",
    },
    "google_project_service_identity.agent": {"google_project_service.used"},
    "google_iam_workload_identity_pool_provider.github": {"google_iam_workload_identity_pool.github"},
    "google_monitoring_alert_policy.stale": {"google_logging_metric.loaded", "google_project_service.used"},
    "time_sleep.granted": {"google_project_iam_member.builder", "google_project_iam_member.eventarc"},
}
"""What has to exist before what; and the services before everything at Google."""
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "workspace": ({"workspace": "dev"}, "These values are for the workspace dev, but prod is selected"),
    "way": ({"ways": ["lambda"]}, "The ways are github, function and job."),
    "repository": ({"ways": ["github"]}, "The way github needs the repository's number"),
    "repository name": ({"ways": ["github"], "github_repository_id": "my/repo"}, "the repository's number"),
    "trigger": ({"trigger": "cron"}, "The trigger is event or http."),
    "reader": ({"readers": ["ann@my-company.com"]}, "Readers are written like group:"),
    "address": ({"ways": ["github"], "github_repository_id": "1", "static_address": True}, "A fixed address is for"),
    "period": ({"job": {"since": "2020-01-01"}}, "The job has since and until, or neither"),
    "tasks": ({"job": {"tasks": 4}}, "several tasks need both"),
    "alert": ({"ways": [], "alert_email": "a@b.c"}, "There is nothing to alert about"),
}


def unquote(value: Any) -> Any:
    """A parsed value without the parser's quotation marks and metadata."""
    if isinstance(value, dict):
        return {unquote(name): unquote(inner) for name, inner in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [unquote(item) for item in value]
    if isinstance(value, str) and value.startswith('"') and not value.startswith('"<<'):
        return value[1:-1].replace('\\"', '"')
    return value


def parse_blocks(kind: str) -> dict[str, dict[str, Any]]:
    """All blocks of a kind; keys are `type.name` for resources, else the block's label."""
    found: dict[str, dict[str, Any]] = {}
    for file in FOLDER.glob("*.tf"):
        for block in unquote(hcl2.loads(file.read_text("utf-8"))).get(kind, []):
            for label, body in block.items():
                by_name = {f"{label}.{name}": content for name, content in body.items()}
                found.update(by_name if kind == "resource" else {label: body})
    return found


RESOURCES = parse_blocks("resource")


@pytest.fixture
def prod(tmp_path: Path) -> Iterator[Terraform]:
    """Terraform in the workspace prod, with nothing applied."""
    with terraform(tmp_path) as program:
        yield program


def apply(program: Terraform, variables: dict[str, Any]) -> dict[str, Any]:
    """Applies, then plans again: nothing may be left to do. Returns the state."""
    ended = program.run("apply", "-auto-approve", **variables)
    assert ended.returncode == 0, ended.stderr
    again = program.run("plan", "-detailed-exitcode", **variables)
    assert again.returncode == 0, again.stdout + again.stderr
    return program.state()


@needs_terraform
def test_every_argument_is_in_the_published_schemas(prod: Terraform) -> None:
    ended = prod.run("validate")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    broken = prod.folder / "deploy" / "terraform" / "job.tf"
    broken.write_text(broken.read_text("utf-8").replace("max_retries ", "max_tries "), "utf-8")
    assert 'An argument named "max_tries" is not expected here' in prod.run("validate").stderr


@pytest.mark.expensive
@needs_terraform
@pytest.mark.parametrize("way", SERVICES)
def test_each_way_is_applied_with_the_services_it_needs(prod: Terraform, way: str) -> None:
    state = apply(prod, WAYS[way])
    enabled = {values["service"].removesuffix(".googleapis.com") for values in by_type(state, "google_project_service")}
    shared = {"bigquery", "cloudresourcemanager", "iam", "logging", "serviceusage"}
    assert enabled == shared | SERVICES[way]
    has_function, has_job = (bool(by_type(state, kind)) for kind in (FUNCTION_TYPE, JOB_TYPE))
    assert has_function == (way in ("function", "http", "everything"))
    assert has_job == (way == "everything"), "the job needs an image"
    assert bool(by_type(state, "google_secret_manager_secret_iam_member")) == (way not in ("none", "github"))
    assert ("output.github" in state) == (way in ("github", "everything"))
    assert ("output.image" in state) == (way in ("job", "everything"))


def by_type(state: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The resources of a type."""
    return [values for address, values in state.items() if address.split(".")[0] == kind]


@pytest.mark.expensive(22)
@needs_terraform
def test_ways_replace_each_other_and_nothing_of_the_data_is_made_again(prod: Terraform) -> None:
    state = apply(prod, FUNCTION)
    (function,) = by_type(state, FUNCTION_TYPE)
    assert (function["build_config"][0]["entry_point"], len(function["event_trigger"])) == ("main", 1)
    replaced = set(re.findall(r"# (\S+) (?:must be|will be) replaced", prod.run("plan", **WAYS["http"]).stdout))
    grant = "google_cloud_run_service_iam_member.trigger[0]"
    assert {"google_cloudfunctions2_function.load[0]", grant} <= replaced, "a grant goes with the service it is on"
    state = apply(prod, WAYS["http"])
    (function,) = by_type(state, FUNCTION_TYPE)
    assert (function["build_config"][0]["entry_point"], function["event_trigger"]) == ("main_http", [])
    environment = function["service_config"][0]["environment_variables"]
    assert float(environment["SOURCES__COMAGIC__MAX_MINUTES"]) * 60 < function["service_config"][0]["timeout_seconds"]
    (schedule,) = by_type(state, "google_cloud_scheduler_job")
    assert schedule["http_target"][0]["oidc_token"][0]["service_account_email"].startswith("comagic-trigger@")
    planned = prod.run("plan", **WAYS["built job"])
    destroyed = set(re.findall(r"# (\S+) will be destroyed", planned.stdout))
    assert "google_cloudfunctions2_function.load[0]" in destroyed
    assert not [name for name in destroyed if "dataset" in name or "loader" in name or "secret" in name], destroyed
    state = apply(prod, WAYS["built job"])
    (job,) = by_type(state, JOB_TYPE)
    assert job["template"][0]["task_count"] == 4
    container = job["template"][0]["template"][0]["containers"][0]
    assert container["args"] == ["load", "--wait", "60", "--since", "2020-01-01", "--until", "2026-10-31"]


@pytest.mark.expensive
@needs_terraform
def test_everything_names_what_it_should(prod: Terraform) -> None:
    state = apply(prod, EVERYTHING)
    assert state["output.github"] == {
        "GOOGLE_PROJECT": "my-project",
        "GOOGLE_LOCATION": "EU",
        "GOOGLE_SERVICE_ACCOUNT": "comagic-loader@my-project.iam.gserviceaccount.com",
        "GOOGLE_WORKLOAD_IDENTITY_PROVIDER": state["google_iam_workload_identity_pool_provider.github[0]"]["name"],
        "COMAGIC_BASE_URL": "https://dataapi.comagic.ru/v2.0",
        "COMAGIC_START_DATE": "2026-11-01",
        "COMAGIC_RESOURCES": '["calls"]',
        "COMAGIC_DATASET": "comagic",
        "COMAGIC_REPORT": "no",
    }
    given = {
        name: sorted(
            (one["role"], one["special_group"] or one["group_by_email"] or one["user_by_email"])
            for one in state[f"google_bigquery_dataset.{name}"]["access"]
        )
        for name in ("data", "staging")
    }
    writers = [("OWNER", "projectOwners"), ("WRITER", "comagic-loader@my-project.iam.gserviceaccount.com")]
    readers = [("READER", "analysts@my-company.com"), ("READER", "boss@my-company.com")]
    assert given == {"data": sorted(writers + readers), "staging": writers}
    (function,) = by_type(state, FUNCTION_TYPE)
    environment = function["service_config"][0]["environment_variables"]
    assert environment[HISTORY_COMMAND].split()[:5] == ["gcloud", "run", "jobs", "execute", state["output.job"]]
    (query,) = (
        condition["condition_prometheus_query_language"][0]
        for condition in state["google_monitoring_alert_policy.stale[0]"]["conditions"]
    )
    assert query["disable_metric_validation"] is True
    for writer in ("cloud_run_revision", "cloud_run_job", "global"):
        assert f'user_comagic_loaded{{monitored_resource="{writer}"}}[26h]' in query["query"]
    assert state["google_billing_budget.month[0]"]["budget_filter"][0]["projects"] == [f"projects/{NUMBER}"]


@needs_terraform
def test_what_must_exist_before_what(prod: Terraform) -> None:
    before = prod.before(**EVERYTHING)
    for address, earlier in BEFORE.items():
        assert earlier <= before[address], (address, earlier - before[address])
    needs_no_service = ("google_project_service.used", "terraform_data.trigger", "data.archive_file.source")
    for address in [name for name in RESOURCES if name not in needs_no_service]:
        assert "google_project_service.used" in before[address], address


@needs_terraform
@pytest.mark.expensive
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_the_variables_is_told_before_anything_is_planned(prod: Terraform, mistake: str) -> None:
    variables, message = MISTAKES[mistake]
    ended = prod.run("plan", **{**FUNCTION, **variables})
    assert ended.returncode == 1
    assert message in " ".join(ended.stderr.replace("│", " ").split()), ended.stderr


@needs_terraform
@pytest.mark.expensive
@pytest.mark.parametrize("workspace", ["dev", "test"])
def test_workspaces_share_a_project_without_sharing_names(tmp_path: Path, workspace: str) -> None:
    with terraform(tmp_path, workspace) as program:
        file = f"-var-file=workspaces/{workspace}.tfvars"
        ended = program.run("apply", "-auto-approve", file)
        assert ended.returncode == 0, ended.stderr
        state = program.state()
        assert state["output.dataset"] == f"comagic_{workspace}"
        assert state["output.topic"] == f"update_calls_{workspace}"
        (function,) = by_type(state, FUNCTION_TYPE)
        assert function["name"] == f"comagic-{workspace}"
        assert function["service_config"][0]["environment_variables"]["DATASET_NAME"] == f"comagic_{workspace}"


def roles(grant: dict[str, Any]) -> set[str]:
    return set(re.findall(r"roles/[\w.]+", f"{grant['role']} {grant.get('for_each', '')}"))


def find_settings(text: str) -> Iterator[str]:
    yield from re.findall(r"\bSOURCES__COMAGIC__([A-Z_]+)\b", text)


def all_files() -> str:
    return "".join(file.read_text("utf-8") for file in FOLDER.glob("*.tf"))


def test_each_account_has_only_the_roles_it_needs_and_nothing_is_public() -> None:
    grants = {name: roles(grant) for name, grant in RESOURCES.items() if "_iam_" in name and "workload" not in name}
    assert grants == LEAST_ROLES
    for forbidden in ("allUsers", "allAuthenticatedUsers", "google_service_account_key", "roles/owner", "roles/editor"):
        assert forbidden not in all_files(), forbidden


def test_the_value_of_the_secret_is_not_in_terraform() -> None:
    assert not [name for name in RESOURCES if "secret" in name and "_iam_" not in name]
    (secret,) = service_config()["secret_environment_variables"]
    assert secret["key"] == "${local.token}"
    assert 'token = "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"' in (FOLDER / "main.tf").read_text("utf-8")


def service_config() -> dict[str, Any]:
    (config,) = RESOURCES["google_cloudfunctions2_function.load"]["service_config"]
    assert isinstance(config, dict)
    return config


def test_the_function_has_one_instance_a_sufficient_timeout_and_retries() -> None:
    config = service_config()
    assert (config["max_instance_count"], config["max_instance_request_concurrency"]) == (1, 1)
    seconds, _ = (int(number) for number in re.findall(r"\d+", config["timeout_seconds"]))
    assert EVENT_MINUTES * 60 < seconds <= 540
    assert "def main(" in (ROOT / "comagic_pipeline.py").read_text("utf-8")
    assert "RETRY_POLICY_RETRY" in (FOLDER / "function.tf").read_text("utf-8")


def test_the_schedule_has_a_time_zone_and_is_off_the_full_hour() -> None:
    variables = parse_blocks("variable")
    assert variables["time_zone"]["default"] == SyntheticAccount().timezone == "Europe/Moscow"
    assert variables["schedule"]["default"].split()[0] not in ("0", "*")
    job = RESOURCES["google_cloud_scheduler_job.load"]
    assert (job["schedule"], job["time_zone"]) == ("${var.schedule}", "${var.time_zone}")


def test_terraform_creates_the_datasets_deletes_only_staging_tables_and_none_expires() -> None:
    data, staging = (RESOURCES[f"google_bigquery_dataset.{name}"] for name in ("data", "staging"))
    assert data["location"] == staging["location"] == "${var.location}"
    assert (data["delete_contents_on_destroy"], staging["delete_contents_on_destroy"]) == (False, True)
    for dataset in (data, staging):
        assert not [name for name in dataset if "expiration" in name], "loads would fail when tables are gone"


def test_settings_exist_in_the_code_and_variables_are_described_and_used() -> None:
    text = all_files()
    for name in find_settings(text):
        assert name.lower().removeprefix("credentials__") in KNOWN | KNOWN_CREDENTIALS, name
    variables = parse_blocks("variable")
    for name, variable in variables.items():
        assert variable["description"].rstrip(")").endswith((".", "{repo} --jq .id")), name
        own = len(re.findall(rf"\bvar\.{name}\b", str(variable)))
        assert name == "workspace" or len(re.findall(rf"\bvar\.{name}\b", text)) > own, name
    assert variables["base_url"]["default"] in BRANDS.values()
    assert variables["alert_email"]["default"] == ""
    for workspace in ("dev", "test", "prod"):
        values = unquote(hcl2.loads((FOLDER / "workspaces" / f"{workspace}.tfvars").read_text("utf-8")))
        assert set(values) <= set(variables)
        assert values["workspace"] == workspace
        assert "alert_email" not in values, "it would be somebody else's"
        assert set(values.get("resources", [])) <= {*resources(), "all"}


def test_providers_are_bound_to_the_versions_whose_schemas_were_published() -> None:
    versions = {name: schema["version"] for name, schema in read_schemas().items()}
    (block,) = unquote(hcl2.loads((FOLDER / "versions.tf").read_text("utf-8")))["terraform"]
    (required,) = block["required_providers"]
    assert set(required) == set(versions)
    for name, version in versions.items():
        least, below = re.findall(r"[\d.]+", required[name]["version"])
        assert tuple(map(int, least.split("."))) <= tuple(map(int, version.split(".")))
        assert int(below.split(".")[0]) == int(version.split(".")[0]) + 1


def test_schemas_are_those_of_what_is_used() -> None:
    schemas = read_schemas()
    kept = {name: {*one["resources"], *(f"data.{kind}" for kind in one["data"])} for name, one in schemas.items()}
    assert kept == used_types()


def test_uploaded_source_and_image_contain_no_secrets_and_no_data(tmp_path: Path) -> None:
    parsed = unquote(hcl2.loads((FOLDER / "function.tf").read_text("utf-8")))
    (lists,) = [block for block in parsed["locals"] if "source" in block]
    named = set(re.findall(r"[\w./*-]*\.(?:py|toml|txt|{py[\w,]*})", str(lists["source"])))
    locked = {"requirements.txt", "deploy/locks/function.txt"}
    assert named == {"comagic/**/*.{py,yaml,sql,jinja,css,js,json}", "comagic_pipeline.py", ".dlt/config.toml", *locked}
    kinds = {file.suffix for file in (ROOT / "comagic").rglob("*.*") if file.name != "py.typed"}  # for type checkers
    assert kinds <= {".py", ".yaml", ".sql", ".pyc", ".jinja", ".css", ".js", ".json"}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[0] == "*"
    assert not [line for line in ignored if line.startswith("!") and "secret" in line]


def test_gcloud_uploads_what_the_image_needs_and_nothing_else(tmp_path: Path) -> None:
    wanted = {
        *(".dlt/config.toml", ".dockerignore", "Dockerfile", "comagic/settings.py", "comagic_pipeline.py"),
        "deploy/locks/bigquery.txt",
    }
    secret = {
        *(
            ".dlt/secrets.toml",
            ".env",
            "venv/lib/x.py",
            "key.json",
            "my.tfvars",
            "comagic_pipeline.duckdb",
            "tests/x.py",
        ),
        *("deploy/terraform/terraform.tfstate", "comagic/__pycache__/x.pyc", "tests/x.py"),
    }
    for name in wanted | secret:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gcloudignore").write_text((ROOT / ".gcloudignore").read_text("utf-8"), "utf-8")
    git = shutil.which("git")
    assert git  # the file has git's syntax
    subprocess.run([git, "init", "--quiet"], cwd=tmp_path, check=True)
    words = (git, "ls-files", "--others", "--exclude-from=.gcloudignore")
    listed = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert set(listed) == wanted


def test_only_one_github_repository_may_sign_in_and_every_variable_of_the_workflow_is_an_output() -> None:
    provider = RESOURCES["google_iam_workload_identity_pool_provider.github"]
    assert provider["attribute_condition"].startswith("assertion.repository_id ==")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "load.yml").read_text("utf-8"))
    variables = set(re.findall(r"vars\.(\w+)", str(workflow)))
    outputs = (FOLDER / "outputs.tf").read_text("utf-8")
    assert variables == set(re.findall(r"\b(?:GOOGLE|COMAGIC)_[A-Z_]+\b", outputs))
