# Scheduler → topic update_calls → function main.

# The source is an allow-list, so that no key or database of this folder is ever uploaded. Google's build installs
# requirements.txt, which is a lock with hashes here.
locals {
  root = "${path.module}/../.."
  source = merge(
    { for name in fileset(local.root, "comagic/**/*.{py,yaml,sql}") : name => name },
    { for name in ["comagic_pipeline.py", ".dlt/config.toml"] : name => name },
    { "requirements.txt" = "deploy/locks/function.txt" },
  )
}

data "archive_file" "source" {
  type        = "zip"
  output_path = "${path.module}/.terraform/source.zip"
  dynamic "source" {
    for_each = local.source
    content {
      filename = source.key
      content  = file("${local.root}/${source.value}")
    }
  }
}

resource "google_storage_bucket" "source" {
  name                        = "${var.project}-${local.name}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
}

resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.builder.member
}

resource "google_storage_bucket_object" "source" {
  name   = "${data.archive_file.source.output_sha256}.zip"
  bucket = google_storage_bucket.source.name
  source = data.archive_file.source.output_path
}

resource "google_pubsub_topic" "update_calls" {
  name       = terraform.workspace == "prod" ? "update_calls" : "update_calls_${terraform.workspace}"
  depends_on = [google_project_service.used]
}

resource "google_cloud_scheduler_job" "load" {
  name      = "${local.name}-load"
  region    = var.region
  schedule  = var.schedule
  time_zone = var.time_zone
  pubsub_target {
    topic_name = google_pubsub_topic.update_calls.id
    data       = base64encode("{}")
  }
  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
  }
}

resource "google_cloudfunctions2_function" "load" {
  name        = local.name
  location    = var.region
  description = "Loads what is new in CoMagic into BigQuery."

  build_config {
    runtime         = "python312"
    entry_point     = "main"
    service_account = google_service_account.builder.id
    environment_variables = {
      GOOGLE_FUNCTION_SOURCE = "comagic_pipeline.py"
    }
    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.loader.email
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    max_instance_count               = 1 # two runs at once would write to the same staging tables
    max_instance_request_concurrency = 1
    available_cpu                    = "1"
    available_memory                 = "2Gi" # includes /tmp
    timeout_seconds                  = 540   # the maximum for events; the code stops after 8 minutes
    environment_variables            = local.environment
    vpc_connector                    = var.static_address ? google_vpc_access_connector.egress[0].id : null
    vpc_connector_egress_settings    = var.static_address ? "ALL_TRAFFIC" : null
    secret_environment_variables {
      key        = local.token
      project_id = var.project
      secret     = google_secret_manager_secret.token.secret_id
      version    = "latest"
    }
  }

  event_trigger {
    trigger_region        = var.region
    event_type            = "google.cloud.pubsub.topic.v1.messagePublished"
    pubsub_topic          = google_pubsub_topic.update_calls.id
    retry_policy          = "RETRY_POLICY_RETRY" # the code acknowledges messages that would fail again
    service_account_email = google_service_account.trigger.email
  }

  depends_on = [
    google_project_iam_member.builder,
    google_storage_bucket_iam_member.builder,
    google_secret_manager_secret_iam_member.loader,
  ]
}

resource "google_cloud_run_service_iam_member" "trigger" {
  service  = google_cloudfunctions2_function.load.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.trigger.member
}
