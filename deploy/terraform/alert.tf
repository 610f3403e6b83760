# Mail when no load has succeeded for 26 hours, whichever way it runs, when one failed, and when a month costs too much.
# Each way logs its outcome with the dataset: the function and the job by themselves, the workflow by gcloud.

locals {
  has_alerts = var.alert_email != ""
  is_nightly = local.github || (local.function && endswith(var.schedule, " * * *"))
  loaded     = "${local.name}-loaded"
  # By the kind of resource that writes the entries: PromQL wants to know it for a metric of several.
  writers = concat(
    local.function ? ["cloud_run_revision"] : [],
    local.job ? ["cloud_run_job"] : [],
    local.github ? ["global"] : [],
  )
  loads = [
    for writer in local.writers :
    "(sum(increase(logging_googleapis_com:user_${replace(local.loaded, "-", "_")}{monitored_resource=\"${writer}\"}[26h])) or vector(0))"
  ]
}

resource "google_logging_metric" "loaded" {
  count  = local.has_alerts ? 1 : 0
  name   = local.loaded
  filter = "jsonPayload.outcome=\"loaded\" AND jsonPayload.dataset=\"${local.dataset}\""
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
  depends_on = [google_project_service.used]
}

resource "google_monitoring_notification_channel" "email" {
  count        = local.has_alerts ? 1 : 0
  display_name = "${local.name}: alerts about the load"
  type         = "email"
  labels = {
    email_address = var.alert_email
  }
  depends_on = [google_project_service.used]
}

# For what runs every night: not for the job alone, nor for a schedule of once a week.
resource "google_monitoring_alert_policy" "stale" {
  count                 = local.has_alerts && local.is_nightly ? 1 : 0
  display_name          = "${local.name}: no load has succeeded for 26 hours"
  combiner              = "OR"
  notification_channels = google_monitoring_notification_channel.email[*].id
  conditions {
    display_name = "No success in 26 hours"
    condition_prometheus_query_language {
      query                     = "(${join(" + ", local.loads)}) < 0.5" # increase() extrapolates
      duration                  = "0s"
      evaluation_interval       = "300s"
      disable_metric_validation = true # the metric has no data before the first load, and would be refused
    }
  }
  documentation {
    content = "See the log of the load and deploy/README.md."
  }
  depends_on = [google_logging_metric.loaded]
}

resource "google_monitoring_alert_policy" "failed" {
  count                 = local.has_alerts ? 1 : 0
  display_name          = "${local.name}: a load failed"
  combiner              = "OR"
  notification_channels = google_monitoring_notification_channel.email[*].id
  conditions {
    display_name = "An entry says failed or rejected"
    condition_matched_log {
      filter = "jsonPayload.outcome=(\"failed\" OR \"rejected\") AND jsonPayload.dataset=\"${local.dataset}\""
    }
  }
  alert_strategy {
    auto_close = "86400s"
    notification_rate_limit {
      period = "3600s"
    }
  }
  documentation {
    content = "The entry's message says what to do."
  }
}

data "google_project" "this" {
  count      = var.budget == null ? 0 : 1
  project_id = var.project
}

resource "google_billing_budget" "month" {
  provider        = google.budget
  count           = var.budget == null ? 0 : 1
  billing_account = var.budget.billing_account
  display_name    = "${local.name}: a month"
  budget_filter {
    projects = ["projects/${data.google_project.this[0].number}"]
  }
  amount {
    specified_amount {
      units = floor(var.budget.amount)
    }
  }
  threshold_rules {
    threshold_percent = 0.5
  }
  threshold_rules {
    threshold_percent = 1.0
  }
  dynamic "all_updates_rule" {
    for_each = local.has_alerts ? [google_monitoring_notification_channel.email[*].id] : []
    content {
      monitoring_notification_channels = all_updates_rule.value
    }
  }
  depends_on = [google_project_service.used]
}
