# Timer → function `handler` in comagic_pipeline.py. `deploy/yandex/build` makes its ZIP, with the locked packages.

locals {
  zip     = "${path.module}/function.zip"
  history = local.has_container ? "curl --request POST --header \"Authorization: Bearer $(yc iam create-token)\" ${yandex_serverless_container.history[0].url}" : "deploy/yandex/README.md, A long history"
  # By name: cron expression and the request that the timer sends.
  timers = merge(
    { nightly = { schedule = var.schedule, request = {} } },
    var.hourly_schedule == "" ? {} : { hourly = { schedule = var.hourly_schedule, request = { lookback_days = 1 } } },
  )
}

resource "yandex_storage_bucket" "source" {
  folder_id     = var.folder_id # a user's token does not say which
  bucket        = "${var.name}-${var.folder_id}-source"
  force_destroy = true
}

resource "yandex_storage_object" "source" {
  bucket = yandex_storage_bucket.source.bucket
  key    = fileexists(local.zip) ? "${filesha256(local.zip)}.zip" : "missing"
  source = local.zip
  lifecycle {
    precondition {
      condition     = fileexists(local.zip)
      error_message = "There is no function.zip: run deploy/yandex/build first."
    }
  }
}

resource "yandex_function" "load" {
  folder_id          = var.folder_id
  name               = var.name
  description        = "Loads what is new in CoMagic into PostgreSQL."
  runtime            = "python312"
  entrypoint         = "comagic_pipeline.handler"
  memory             = 2048
  execution_timeout  = "600" # the load stops a minute before; longer ones have to be applied for
  service_account_id = yandex_iam_service_account.loader.id
  user_hash          = yandex_storage_object.source.key
  environment        = merge(local.environment, { COMAGIC_HISTORY_COMMAND = local.history })
  package {
    bucket_name = yandex_storage_bucket.source.bucket
    object_name = yandex_storage_object.source.key
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
    folder_id = var.folder_id # its default log group
    min_level = "INFO"
  }
  depends_on = [yandex_lockbox_secret_iam_member.loader, yandex_compute_instance.proxy]
}

# One load at a time: one instance in a zone, and the lock in the database between the zones.
resource "yandex_function_scaling_policy" "load" {
  function_id = yandex_function.load.id
  policy {
    tag                  = "$latest"
    zone_instances_limit = 1
    zone_requests_limit  = 1
  }
}

resource "yandex_iam_service_account" "trigger" {
  folder_id = var.folder_id
  name      = "${var.name}-trigger"
}

resource "yandex_function_iam_member" "trigger" {
  function_id = yandex_function.load.id
  role        = "functions.functionInvoker"
  member      = "serviceAccount:${yandex_iam_service_account.trigger.id}"
}

resource "yandex_function_trigger" "load" {
  for_each    = local.timers
  folder_id   = var.folder_id
  name        = "${var.name}-${each.key}"
  description = "Starts the function, in UTC."
  timer {
    cron_expression = each.value.schedule
    payload         = jsonencode(each.value.request)
  }
  function {
    id                 = yandex_function.load.id
    service_account_id = yandex_iam_service_account.trigger.id
    retry_attempts     = "3"
    retry_interval     = "60" # the longest; errors that would be the same again do not fail the function
  }
  depends_on = [yandex_function_iam_member.trigger]
}
