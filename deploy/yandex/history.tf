# A container for a long history: the command line, an hour a run. A request starts it, and its exit code comes back in the
# header X-Task-Exit-Code: 75 means that there is more.

locals {
  has_container = var.history && var.image != ""
}

resource "yandex_container_registry" "images" {
  count     = var.history ? 1 : 0
  folder_id = var.folder_id
  name      = var.name
}

resource "yandex_container_registry_iam_binding" "loader" {
  count       = var.history ? 1 : 0
  registry_id = yandex_container_registry.images[0].id
  role        = "container-registry.images.puller"
  members     = ["serviceAccount:${yandex_iam_service_account.loader.id}"]
}

resource "yandex_serverless_container" "history" {
  count              = local.has_container ? 1 : 0
  folder_id          = var.folder_id
  name               = "${var.name}-history"
  description        = "Loads years of CoMagic's calls into PostgreSQL."
  memory             = 4096
  cores              = 1
  execution_timeout  = "3600s"
  concurrency        = 1
  service_account_id = yandex_iam_service_account.loader.id
  runtime {
    type = "task"
  }
  image {
    url         = var.image
    args        = ["load", "--max-minutes", "55"]
    environment = local.environment
  }
  dynamic "secrets" {
    for_each = local.secrets
    content {
      id                   = data.yandex_lockbox_secret.loader.id
      version_id           = local.version_id
      key                  = secrets.key
      environment_variable = secrets.value
    }
  }
  dynamic "connectivity" {
    for_each = local.has_network ? [local.network_id] : []
    content {
      network_id = connectivity.value
    }
  }
  log_options {
    folder_id = var.folder_id
    min_level = "INFO"
  }
  depends_on = [yandex_lockbox_secret_iam_member.loader, yandex_container_registry_iam_binding.loader, yandex_compute_instance.proxy]
}
