# What builds the function and the job's image: an account of its own, since many organizations leave the default one
# without roles.

resource "google_service_account" "builder" {
  count        = local.is_built ? 1 : 0
  account_id   = "${local.name}-builder"
  display_name = "Builds the function and the image"
  depends_on   = [google_project_service.used]
}

# storage.objectViewer on the project: Google copies the function's source to a bucket of its own (gcf-v2-sources-...),
# which has to be readable too.
resource "google_project_iam_member" "builder" {
  for_each = local.is_built ? toset(["roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"]) : []
  project  = var.project
  role     = each.value
  member   = google_service_account.builder[0].member
}

# A grant takes a minute or two to reach every service; a build that starts before fails.
resource "time_sleep" "granted" {
  count           = local.is_built ? 1 : 0
  create_duration = "120s"
  triggers = {
    roles    = jsonencode([for grant in google_project_iam_member.builder : grant.role])
    secret   = google_secret_manager_secret_iam_member.loader[0].member
    eventarc = try(google_project_iam_member.eventarc[0].member, "")
  }
}
