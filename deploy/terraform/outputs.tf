output "dataset" {
  description = "Dataset of the tables."
  value       = google_bigquery_dataset.data.dataset_id
}

output "secret" {
  description = "Secret for the access token; add its value with gcloud secrets versions add."
  value       = google_secret_manager_secret.token.secret_id
}

output "function" {
  description = "Name of the function and of its log."
  value       = google_cloudfunctions2_function.load.name
}

output "topic" {
  description = "Topic that starts a load; publish with gcloud pubsub topics publish."
  value       = google_pubsub_topic.update_calls.name
}

output "address" {
  description = "IP address to allow in CoMagic's personal account; empty if there is no fixed address."
  value       = one(google_compute_address.egress[*].address)
}

output "github" {
  description = "Variables to set in the GitHub repository."
  value = var.github_repository == "" ? null : {
    GOOGLE_PROJECT                    = var.project
    GOOGLE_LOCATION                   = var.location
    GOOGLE_SERVICE_ACCOUNT            = google_service_account.loader.email
    GOOGLE_WORKLOAD_IDENTITY_PROVIDER = google_iam_workload_identity_pool_provider.github[0].name
  }
}
