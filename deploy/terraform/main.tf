# Shared by every way of running: services, service accounts with least privilege, datasets, the secret.

locals {
  name    = terraform.workspace == "prod" ? "comagic" : "comagic-${terraform.workspace}"
  dataset = replace(local.name, "-", "_")
  staging = concat(
    ["${local.dataset}_staging"],
    [for index in range(try(var.job.tasks, 0)) : "${local.dataset}_staging_${index}"],
  )
  environment = {
    DESTINATION_TYPE                  = "bigquery"
    DESTINATION__BIGQUERY__PROJECT_ID = var.project
    DESTINATION__BIGQUERY__LOCATION   = var.location
    DATASET_NAME                      = local.dataset
    DLT_DATA_DIR                      = "/tmp/dlt"
    RUNTIME__DLTHUB_TELEMETRY         = "false"
    SOURCES__COMAGIC__BASE_URL        = var.base_url
    SOURCES__COMAGIC__START_DATE      = var.start_date
    SOURCES__COMAGIC__RESOURCES       = jsonencode(var.resources)
  }
  token = "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"
}

resource "google_project_service" "used" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "eventarc.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "sts.googleapis.com",
    "vpcaccess.googleapis.com",
  ])
  service            = each.value
  disable_on_destroy = false
}

resource "google_service_account" "loader" {
  account_id   = "${local.name}-loader"
  display_name = "Loads CoMagic's data into BigQuery"
  depends_on   = [google_project_service.used]
}

resource "google_service_account" "trigger" {
  account_id   = "${local.name}-trigger"
  display_name = "Delivers Pub/Sub messages to the function"
  depends_on   = [google_project_service.used]
}

resource "google_service_account" "builder" {
  account_id   = "${local.name}-builder"
  display_name = "Builds the function"
  depends_on   = [google_project_service.used]
}

resource "google_project_iam_member" "loader" {
  project = var.project
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.loader.member
}

resource "google_project_iam_member" "builder" {
  for_each = toset(["roles/artifactregistry.writer", "roles/logging.logWriter"])
  project  = var.project
  role     = each.value
  member   = google_service_account.builder.member
}

resource "google_bigquery_dataset" "data" {
  dataset_id                 = local.dataset
  location                   = var.location
  description                = "Calls and other data of the account, loaded from CoMagic by dlt."
  delete_contents_on_destroy = false
  depends_on                 = [google_project_service.used]
}

resource "google_bigquery_dataset" "staging" {
  for_each                    = toset(local.staging)
  dataset_id                  = each.value
  location                    = var.location
  description                 = "Staging tables of dlt, loaded before the merge; temporary."
  default_table_expiration_ms = 7 * 24 * 60 * 60 * 1000
  delete_contents_on_destroy  = true
  depends_on                  = [google_project_service.used]
}

resource "google_bigquery_dataset_iam_member" "loader" {
  for_each   = merge({ data = google_bigquery_dataset.data }, google_bigquery_dataset.staging)
  dataset_id = each.value.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_service_account.loader.member
}

# Only the secret itself: gcloud adds its value, so it is never in Terraform's state.
resource "google_secret_manager_secret" "token" {
  secret_id = "${local.name}-access-token"
  replication {
    auto {}
  }
  depends_on = [google_project_service.used]
}

resource "google_secret_manager_secret_iam_member" "loader" {
  secret_id = google_secret_manager_secret.token.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.loader.member
}
