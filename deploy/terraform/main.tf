# Shared by every way of running: services, the account that loads, datasets, the secret.

locals {
  name       = terraform.workspace == "prod" ? "comagic" : "comagic-${terraform.workspace}"
  dataset    = replace(local.name, "-", "_")
  secret     = "${local.name}-access-token"
  github     = contains(var.ways, "github")
  function   = contains(var.ways, "function")
  job        = contains(var.ways, "job")
  has_events = local.function && var.trigger == "event"
  is_built   = local.function || local.job
  services = concat(
    ["bigquery", "cloudresourcemanager", "iam", "logging", "serviceusage"],
    local.github ? ["iamcredentials", "sts"] : [],
    local.is_built ? ["artifactregistry", "cloudbuild", "run", "secretmanager", "storage"] : [],
    local.function ? ["cloudfunctions", "cloudscheduler"] : [],
    local.has_events ? ["eventarc", "pubsub"] : [],
    var.static_address ? ["compute"] : [],
    var.alert_email != "" ? ["monitoring"] : [],
    var.budget != null ? ["billingbudgets"] : [],
  )
  environment = merge(var.report == "" ? {} : { SOURCES__COMAGIC__REPORT = var.report }, {
    DESTINATION_TYPE                  = "bigquery"
    DESTINATION__BIGQUERY__PROJECT_ID = var.project
    DESTINATION__BIGQUERY__LOCATION   = var.location
    DATASET_NAME                      = local.dataset
    DLT_DATA_DIR                      = "/tmp/dlt"
    RUNTIME__DLTHUB_TELEMETRY         = "false"
    SOURCES__COMAGIC__BASE_URL        = var.base_url
    SOURCES__COMAGIC__START_DATE      = var.start_date
    SOURCES__COMAGIC__RESOURCES       = jsonencode(var.resources)
  })
  token = "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"
}

resource "google_project_service" "used" {
  for_each           = toset([for service in local.services : "${service}.googleapis.com"])
  service            = each.value
  disable_on_destroy = false
}

resource "google_service_account" "loader" {
  account_id   = "${local.name}-loader"
  display_name = "Loads CoMagic's data into BigQuery"
  depends_on   = [google_project_service.used]
}

resource "google_project_iam_member" "loader" {
  for_each = toset(concat(["roles/bigquery.jobUser"], local.github ? ["roles/logging.logWriter"] : []))
  project  = var.project
  role     = each.value
  member   = google_service_account.loader.member
}

# Access is declared, because by default everybody who may view the project may read its datasets, and these hold
# people's telephone numbers. WRITER is BigQuery Data Editor, READER is BigQuery Data Viewer.
resource "google_bigquery_dataset" "data" {
  dataset_id                 = local.dataset
  location                   = var.location
  description                = "Calls and other data of the account, loaded from CoMagic by dlt."
  delete_contents_on_destroy = false
  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "WRITER"
    user_by_email = google_service_account.loader.email
  }
  dynamic "access" {
    for_each = var.readers
    content {
      role           = "READER"
      group_by_email = startswith(access.value, "group:") ? trimprefix(access.value, "group:") : null
      user_by_email  = startswith(access.value, "group:") ? null : split(":", access.value)[1]
    }
  }
  depends_on = [google_project_service.used]
}

# No expiration of tables: it counts from their creation, and loads would fail when it is over.
resource "google_bigquery_dataset" "staging" {
  dataset_id                 = "${local.dataset}_staging"
  location                   = var.location
  description                = "Staging tables of dlt, loaded before the merge; temporary."
  delete_contents_on_destroy = true
  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "WRITER"
    user_by_email = google_service_account.loader.email
  }
  depends_on = [google_project_service.used]
}

# The secret with CoMagic's key is made by gcloud, with its value: so it is never in Terraform's state, it is there before
# what refers to it (Cloud Run accepts no secret without a version), and it stays when all of this goes.
resource "google_secret_manager_secret_iam_member" "loader" {
  count      = local.is_built ? 1 : 0
  secret_id  = "projects/${var.project}/secrets/${local.secret}"
  role       = "roles/secretmanager.secretAccessor"
  member     = google_service_account.loader.member
  depends_on = [google_project_service.used]
}
