# Loads years of calls at once: what is new up to its end, or a period that parallel tasks share.

resource "google_artifact_registry_repository" "images" {
  count         = local.job ? 1 : 0
  location      = var.region
  repository_id = local.name
  description   = "The image of the job."
  format        = "DOCKER"
  depends_on    = [google_project_service.used]
}

resource "google_cloud_run_v2_job" "history" {
  count               = local.job && var.image != "" ? 1 : 0
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
        image = var.image
        args = concat(
          ["load", "--wait", "60"], # for a function's run to end
          var.job.since == null ? [] : ["--since", var.job.since, "--until", var.job.until],
        )
        resources {
          limits = {
            cpu    = "1"
            memory = "2Gi"
          }
        }
        dynamic "env" {
          for_each = merge(local.environment, { SOURCES__COMAGIC__MAX_MINUTES = "1430" }) # the task has 1440
          content {
            name  = env.key
            value = env.value
          }
        }
        env {
          name = local.token
          value_source {
            secret_key_ref {
              secret  = local.secret
              version = "latest"
            }
          }
        }
      }
      dynamic "vpc_access" {
        for_each = google_compute_subnetwork.egress
        content {
          egress = "ALL_TRAFFIC"
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.id
          }
        }
      }
    }
  }

  depends_on = [time_sleep.granted, google_compute_router_nat.egress]
}
