# How a Pub/Sub message reaches the function.

resource "google_pubsub_topic" "update_calls" {
  count      = local.has_events ? 1 : 0
  name       = terraform.workspace == "prod" ? "update_calls" : "update_calls_${terraform.workspace}"
  depends_on = [google_project_service.used]
}

# In a fresh project the agents of Eventarc and Pub/Sub exist only after they were asked for.
resource "google_project_service_identity" "agent" {
  provider   = google-beta
  for_each   = local.has_events ? toset(["eventarc.googleapis.com", "pubsub.googleapis.com"]) : []
  service    = each.value
  depends_on = [google_project_service.used]
}

resource "google_project_iam_member" "eventarc" {
  count   = local.has_events ? 1 : 0
  project = var.project
  role    = "roles/eventarc.serviceAgent"
  member  = google_project_service_identity.agent["eventarc.googleapis.com"].member
}

# Messages that failed for good go here, once the trigger's subscription says so: Eventarc makes that subscription, so
# gcloud sets it (deploy/README.md).
resource "google_pubsub_topic" "dead" {
  count      = local.has_events ? 1 : 0
  name       = "${google_pubsub_topic.update_calls[0].name}_dead"
  depends_on = [google_project_service.used]
}

resource "google_pubsub_subscription" "dead" {
  count                      = local.has_events ? 1 : 0
  name                       = google_pubsub_topic.dead[0].name
  topic                      = google_pubsub_topic.dead[0].id
  message_retention_duration = "604800s"
  expiration_policy {
    ttl = "" # never
  }
}

resource "google_pubsub_topic_iam_member" "dead" {
  count  = local.has_events ? 1 : 0
  topic  = google_pubsub_topic.dead[0].id
  role   = "roles/pubsub.publisher"
  member = google_project_service_identity.agent["pubsub.googleapis.com"].member
}
