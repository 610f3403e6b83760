# Alerts by email when no load has succeeded for 26 hours.

resource "google_logging_metric" "loaded" {
  name   = "${local.name}-loaded"
  filter = <<-EOT
    resource.type="cloud_run_revision"
    resource.labels.service_name="${google_cloudfunctions2_function.load.name}"
    jsonPayload.outcome="loaded"
  EOT
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_monitoring_notification_channel" "email" {
  count        = var.alert_email == "" ? 0 : 1
  display_name = "${local.name}: alerts about the load"
  type         = "email"
  labels = {
    email_address = var.alert_email
  }
}

resource "google_monitoring_alert_policy" "stale" {
  count                 = var.alert_email == "" ? 0 : 1
  display_name          = "${local.name}: no load has succeeded for 26 hours"
  combiner              = "OR"
  notification_channels = google_monitoring_notification_channel.email[*].id
  conditions {
    display_name = "No success in 25 hours, for an hour" # 25 hours is the longest range that a condition allows
    condition_prometheus_query_language {
      query               = "(sum(increase(logging_googleapis_com:user_${replace(google_logging_metric.loaded.name, "-", "_")}{monitored_resource=\"cloud_run_revision\"}[25h])) or vector(0)) < 1"
      duration            = "3600s"
      evaluation_interval = "300s"
    }
  }
  documentation {
    content = "See the function's log and deploy/README.md, Cloud Function."
  }
}
