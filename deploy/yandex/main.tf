# What the function and the container share: the account that loads, the secret, settings.

locals {
  creates_cluster = var.database == null
  database = local.creates_cluster ? {
    host        = "c-${yandex_mdb_postgresql_cluster.calls[0].id}.rw.mdb.yandexcloud.net" # the primary host, whichever it is
    port        = 6432
    name        = yandex_mdb_postgresql_database.calls[0].name
    user        = yandex_mdb_postgresql_user.loader[0].name
    sslmode     = "verify-full"
    sslrootcert = null
  } : var.database
  environment = merge(
    {
      DESTINATION_TYPE                             = "postgres"
      DESTINATION__POSTGRES__CREDENTIALS__HOST     = local.database.host
      DESTINATION__POSTGRES__CREDENTIALS__PORT     = tostring(local.database.port)
      DESTINATION__POSTGRES__CREDENTIALS__DATABASE = local.database.name
      DESTINATION__POSTGRES__CREDENTIALS__USERNAME = local.database.user
      DESTINATION__POSTGRES__CREDENTIALS__QUERY = jsonencode({
        sslmode     = local.database.sslmode
        sslrootcert = coalesce(local.database.sslrootcert, local.yandex_ca)
      })
      DLT_DATA_DIR                 = "/tmp/dlt"
      RUNTIME__DLTHUB_TELEMETRY    = "false"
      NORMALIZE__WORKERS           = "1" # more processes need /dev/shm, and more than one core
      SOURCES__COMAGIC__BASE_URL   = var.base_url
      SOURCES__COMAGIC__START_DATE = var.start_date
      SOURCES__COMAGIC__RESOURCES  = jsonencode(var.resources)
    },
    var.static_address ? { HTTPS_PROXY = local.proxy } : {},
    var.static_address && var.webhook_host != "" ? { NO_PROXY = var.webhook_host } : {}, # the proxy is for the API alone
  )
  # Yandex's functions have this file; the container's image gets it in deploy/yandex/Dockerfile.
  yandex_ca = "/usr/local/share/ca-certificates/yandex-internal-ca.crt"
  # Environment variables by key of the secret.
  secrets = merge(
    {
      access_token      = "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"
      database_password = "DESTINATION__POSTGRES__CREDENTIALS__PASSWORD"
    },
    var.webhook_host != "" ? { webhook_url = "NOTIFICATIONS__WEBHOOK_URL" } : {},
  )
  version_id = data.yandex_lockbox_secret.loader.current_version[0].id
}

# The secret is made by yc, with its values: so they are never in Terraform's state, and it stays when all of this goes.
# A version is part of the function: after a new one, apply again.
data "yandex_lockbox_secret" "loader" {
  folder_id = var.folder_id
  name      = var.name
}

resource "yandex_iam_service_account" "loader" {
  folder_id = var.folder_id
  name      = "${var.name}-loader"
}

resource "yandex_lockbox_secret_iam_member" "loader" {
  secret_id = data.yandex_lockbox_secret.loader.id
  role      = "lockbox.payloadViewer"
  member    = "serviceAccount:${yandex_iam_service_account.loader.id}"
}
