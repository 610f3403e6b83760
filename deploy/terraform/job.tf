# Loads years of calls at once: parallel tasks split the period between them.

resource "google_cloud_run_v2_job" "history" {
  count               = var.job == null ? 0 : 1
  name                = "${local.name}-history"
  location            = var.region
  deletion_protection = false

  template {
    task_count  = var.job.tasks
    parallelism = var.job.tasks
    template {
      service_account = google_service_account.loader.email
      max_retries     = 3
      timeout         = "86400s"
      containers {
        image = var.job.image
        args  = ["load", "--since", var.job.since, "--until", var.job.until]
        resources {
          limits = {
            cpu    = "1"
            memory = "2Gi"
          }
        }
        dynamic "env" {
          for_each = local.environment
          content {
            name  = env.key
            value = env.value
          }
        }
        env {
          name = local.token
          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.token.secret_id
              version = "latest"
            }
          }
        }
      }
      dynamic "vpc_access" {
        for_each = google_vpc_access_connector.egress
        content {
          connector = vpc_access.value.id
          egress    = "ALL_TRAFFIC"
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.loader]
}
