"""Terraform files: parsed and checked against what has to be there; they were never applied."""

import re
from collections.abc import Iterator
from typing import Any

import hcl2
import yaml

from comagic.api.brands import BRANDS
from comagic.catalog import resources
from comagic.cli.cloud_function import EVENT_MINUTES
from comagic.sandbox import SyntheticAccount
from comagic.settings import KNOWN, KNOWN_CREDENTIALS
from tests.support.processes import ROOT

FOLDER = ROOT / "deploy" / "terraform"
FUNCTION = (FOLDER / "function.tf").read_text("utf-8")
LOCKED = {"requirements.txt", "deploy/locks/function.txt"}
LEAST_ROLES = {
    "google_project_iam_member.loader": {"roles/bigquery.jobUser"},
    "google_project_iam_member.builder": {"roles/artifactregistry.writer", "roles/logging.logWriter"},
    "google_bigquery_dataset_iam_member.loader": {"roles/bigquery.dataEditor"},
    "google_secret_manager_secret_iam_member.loader": {"roles/secretmanager.secretAccessor"},
    "google_storage_bucket_iam_member.builder": {"roles/storage.objectViewer"},
    "google_cloud_run_service_iam_member.trigger": {"roles/run.invoker"},
    "google_service_account_iam_member.github": {"roles/iam.workloadIdentityUser"},
}
"""All role grants, by resource."""


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


def roles(grant: dict[str, Any]) -> set[str]:
    return set(re.findall(r"roles/[\w.]+", f"{grant['role']} {grant.get('for_each', '')}"))


def find_settings(text: str) -> Iterator[str]:
    yield from re.findall(r"\bSOURCES__COMAGIC__([A-Z_]+)\b", text)


def test_each_account_has_only_the_roles_it_needs_and_nothing_is_public() -> None:
    grants = {name: roles(grant) for name, grant in RESOURCES.items() if "_iam_" in name and "workload" not in name}
    assert grants == LEAST_ROLES
    text = "".join(file.read_text("utf-8") for file in FOLDER.glob("*.tf"))
    for forbidden in ("allUsers", "allAuthenticatedUsers", "google_service_account_key", "roles/owner", "roles/editor"):
        assert forbidden not in text, forbidden


def test_the_value_of_the_secret_is_not_in_terraform() -> None:
    assert "google_secret_manager_secret.token" in RESOURCES
    assert not [name for name in RESOURCES if "secret_version" in name]
    (secret,) = service_config()["secret_environment_variables"]
    assert secret["key"] == "${local.token}"
    assert 'token = "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"' in (FOLDER / "main.tf").read_text("utf-8")


def function() -> dict[str, Any]:
    return RESOURCES["google_cloudfunctions2_function.load"]


def service_config() -> dict[str, Any]:
    (config,) = function()["service_config"]
    assert isinstance(config, dict)
    return config


def test_the_function_has_one_instance_a_sufficient_timeout_and_retries() -> None:
    config = service_config()
    assert (config["max_instance_count"], config["max_instance_request_concurrency"]) == (1, 1)
    assert EVENT_MINUTES * 60 < config["timeout_seconds"] <= 540
    (build,) = function()["build_config"]
    assert build["entry_point"] == "main"
    assert build["environment_variables"] == {"GOOGLE_FUNCTION_SOURCE": "comagic_pipeline.py"}
    assert "def main(" in (ROOT / "comagic_pipeline.py").read_text("utf-8")
    (trigger,) = function()["event_trigger"]
    assert trigger["retry_policy"] == "RETRY_POLICY_RETRY"
    assert trigger["event_type"] == "google.cloud.pubsub.topic.v1.messagePublished"


def test_the_schedule_has_a_time_zone_and_is_off_the_full_hour() -> None:
    variables = parse_blocks("variable")
    assert variables["time_zone"]["default"] == SyntheticAccount().timezone == "Europe/Moscow"
    assert variables["schedule"]["default"].split()[0] not in ("0", "*")
    job = RESOURCES["google_cloud_scheduler_job.load"]
    assert (job["schedule"], job["time_zone"]) == ("${var.schedule}", "${var.time_zone}")
    assert job["pubsub_target"][0]["topic_name"] == "${google_pubsub_topic.update_calls.id}"


def test_terraform_creates_the_datasets_and_deletes_only_staging_tables() -> None:
    data, staging = (RESOURCES[f"google_bigquery_dataset.{name}"] for name in ("data", "staging"))
    assert data["location"] == staging["location"] == "${var.location}"
    assert (data["delete_contents_on_destroy"], staging["delete_contents_on_destroy"]) == (False, True)
    assert "default_table_expiration_ms" in staging
    assert "default_table_expiration_ms" not in data


def test_settings_exist_in_the_code_and_variables_are_described_and_used() -> None:
    text = (FOLDER / "main.tf").read_text("utf-8")
    for name in find_settings(text):
        assert name.lower().removeprefix("credentials__") in KNOWN | KNOWN_CREDENTIALS, name
    used = "".join(file.read_text("utf-8") for file in FOLDER.glob("*.tf"))
    for name, variable in parse_blocks("variable").items():
        assert variable["description"].endswith("."), name
        assert f"var.{name}" in used, name
    assert parse_blocks("variable")["base_url"]["default"] in BRANDS.values()
    for workspace in ("dev", "test", "prod"):
        values = unquote(hcl2.loads((FOLDER / "workspaces" / f"{workspace}.tfvars").read_text("utf-8")))
        assert set(values) <= set(parse_blocks("variable"))
        assert set(values.get("resources", [])) <= {*resources(), "all"}


def test_static_address_is_optional_and_alert_counts_successful_loads() -> None:
    for name in ("network", "subnetwork", "router", "router_nat", "address"):
        assert RESOURCES[f"google_compute_{name}.egress"]["count"] == "${var.static_address ? 1 : 0}"
    (condition,) = RESOURCES["google_monitoring_alert_policy.stale"]["conditions"]
    (query,) = condition["condition_prometheus_query_language"]
    assert "[25h]" in query["query"]
    assert query["duration"] == "3600s"
    assert 'jsonPayload.outcome="loaded"' in RESOURCES["google_logging_metric.loaded"]["filter"]


def test_uploaded_source_and_image_contain_no_secrets_and_no_data() -> None:
    (lists,) = [block for block in unquote(hcl2.loads(FUNCTION))["locals"] if "source" in block]
    named = set(re.findall(r"[\w./*-]*\.(?:py|toml|txt|{py,yaml,sql})", str(lists["source"])))
    assert named == {"comagic/**/*.{py,yaml,sql}", "comagic_pipeline.py", ".dlt/config.toml", *LOCKED}
    assert {file.suffix for file in (ROOT / "comagic").rglob("*.*")} <= {".py", ".yaml", ".sql", ".pyc"}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[0] == "*"
    assert not [line for line in ignored if line.startswith("!") and "secret" in line]


def test_only_one_github_repository_may_sign_in_and_its_variables_are_outputs() -> None:
    provider = RESOURCES["google_iam_workload_identity_pool_provider.github"]
    assert "assertion.repository ==" in provider["attribute_condition"]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "load.yml").read_text("utf-8"))
    variables = set(re.findall(r"vars\.(GOOGLE_\w+)", str(workflow)))
    assert variables == set(re.findall(r"\bGOOGLE_[A-Z_]+\b", (FOLDER / "outputs.tf").read_text("utf-8")))
