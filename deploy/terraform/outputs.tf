output "dataset" {
  description = "Where the tables are."
  value       = google_bigquery_dataset.data.dataset_id
}

output "secret" {
  description = "The secret that takes the access token: gcloud secrets versions add."
  value       = google_secret_manager_secret.token.secret_id
}

output "function" {
  description = "Name of the function, and of its log."
  value       = google_cloudfunctions2_function.load.name
}

output "topic" {
  description = "Where to publish for a load at once: gcloud pubsub topics publish."
  value       = google_pubsub_topic.update_calls.name
}

output "address" {
  description = "What to allow in CoMagic's personal account; empty where there is no fixed address."
  value       = one(google_compute_address.egress[*].address)
}

output "github" {
  description = "The variables of the GitHub repository."
  value = var.github_repository == "" ? null : {
    GOOGLE_PROJECT                    = var.project
    GOOGLE_LOCATION                   = var.location
    GOOGLE_SERVICE_ACCOUNT            = google_service_account.loader.email
    GOOGLE_WORKLOAD_IDENTITY_PROVIDER = google_iam_workload_identity_pool_provider.github[0].name
  }
}
