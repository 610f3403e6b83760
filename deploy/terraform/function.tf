# Scheduler → topic update_calls → function main; or, by HTTP, Scheduler → function main_http.

# The source is an allow-list, so that no key or database of this folder is ever uploaded. Google's build installs
# requirements.txt, which is a lock with hashes here.
locals {
  root = "${path.module}/../.."
  source = merge(
    { for name in fileset(local.root, "comagic/**/*.{py,yaml,sql,jinja,css,js,json}") : name => name },
    { for name in ["comagic_pipeline.py", ".dlt/config.toml"] : name => name },
    { "requirements.txt" = "deploy/locks/function.txt" },
  )
  # What the function logs when a first load needs more time than one run has.
  history = {
    COMAGIC_HISTORY_COMMAND = "gcloud run jobs execute ${local.name}-history --region ${var.region} --project ${var.project} --wait"
  }
}

data "archive_file" "source" {
  count       = local.function ? 1 : 0
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
  count                       = local.function ? 1 : 0
  name                        = "${var.project}-${local.name}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  depends_on                  = [google_project_service.used]
}

resource "google_storage_bucket_object" "source" {
  count  = local.function ? 1 : 0
  name   = "${data.archive_file.source[0].output_sha256}.zip"
  bucket = google_storage_bucket.source[0].name
  source = data.archive_file.source[0].output_path
}

resource "google_service_account" "trigger" {
  count        = local.function ? 1 : 0
  account_id   = "${local.name}-trigger"
  display_name = "Starts the function"
  depends_on   = [google_project_service.used]
}

resource "google_cloud_scheduler_job" "load" {
  count            = local.function ? 1 : 0
  name             = "${local.name}-load"
  region           = var.region
  schedule         = var.schedule
  time_zone        = var.time_zone
  attempt_deadline = local.has_events ? null : "1800s" # the longest that Scheduler waits for an answer
  dynamic "pubsub_target" {
    for_each = google_pubsub_topic.update_calls
    content {
      topic_name = pubsub_target.value.id
      data       = base64encode("{}")
    }
  }
  dynamic "http_target" {
    for_each = local.has_events ? [] : [google_cloudfunctions2_function.load[0].service_config[0].uri]
    content {
      uri         = http_target.value
      http_method = "POST"
      headers     = { "Content-Type" = "application/json" }
      body        = base64encode("{}")
      oidc_token {
        service_account_email = google_service_account.trigger[0].email
      }
    }
  }
  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
  }
  depends_on = [google_project_service.used]
}

resource "google_cloudfunctions2_function" "load" {
  count       = local.function ? 1 : 0
  name        = local.name
  location    = var.region
  description = "Loads what is new in CoMagic into BigQuery."

  build_config {
    runtime         = "python312"
    entry_point     = local.has_events ? "main" : "main_http"
    service_account = google_service_account.builder[0].id
    environment_variables = {
      GOOGLE_FUNCTION_SOURCE = "comagic_pipeline.py"
    }
    source {
      storage_source {
        bucket = google_storage_bucket.source[0].name
        object = google_storage_bucket_object.source[0].name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.loader.email
    ingress_settings                 = local.has_events ? "ALLOW_INTERNAL_ONLY" : "ALLOW_ALL" # with a role in either case
    max_instance_count               = 1                                                      # one load at a time
    max_instance_request_concurrency = 1
    available_cpu                    = "1"
    available_memory                 = "2Gi"                         # includes /tmp
    timeout_seconds                  = local.has_events ? 540 : 1800 # the most for events; what Scheduler waits for HTTP
    environment_variables = merge(
      local.environment,
      local.has_events ? {} : { SOURCES__COMAGIC__MAX_MINUTES = "28" }, # 8 is the default for events
      local.job ? local.history : {},
    )
    direct_vpc_egress = var.static_address ? "VPC_EGRESS_ALL_TRAFFIC" : null
    dynamic "direct_vpc_network_interface" {
      for_each = google_compute_subnetwork.egress
      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.id
      }
    }
    secret_environment_variables {
      key        = local.token
      project_id = var.project
      secret     = local.secret
      version    = "latest"
    }
  }

  dynamic "event_trigger" {
    for_each = google_pubsub_topic.update_calls
    content {
      trigger_region        = var.region
      event_type            = "google.cloud.pubsub.topic.v1.messagePublished"
      pubsub_topic          = event_trigger.value.id
      retry_policy          = "RETRY_POLICY_RETRY" # the code acknowledges messages that would fail again
      service_account_email = google_service_account.trigger[0].email
    }
  }

  lifecycle {
    replace_triggered_by = [terraform_data.trigger]
  }
  depends_on = [time_sleep.granted, google_compute_router_nat.egress]
}

# A function cannot change between events and HTTP: it is made again, and what was granted on it, which goes with it.
resource "terraform_data" "trigger" {
  count = local.function ? 1 : 0
  input = var.trigger
}

# Google's page about direct VPC egress wants it of the function's own account.
resource "google_cloud_run_service_iam_member" "egress" {
  count    = local.function && var.static_address ? 1 : 0
  service  = google_cloudfunctions2_function.load[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.loader.member
  lifecycle {
    replace_triggered_by = [terraform_data.trigger]
  }
}

resource "google_cloud_run_service_iam_member" "trigger" {
  count    = local.function ? 1 : 0
  service  = google_cloudfunctions2_function.load[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.trigger[0].member
  lifecycle {
    replace_triggered_by = [terraform_data.trigger]
  }
}
