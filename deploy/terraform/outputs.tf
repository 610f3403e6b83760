output "dataset" {
  description = "Dataset of the tables."
  value       = google_bigquery_dataset.data.dataset_id
}

output "function" {
  description = "Name of the function and of its log."
  value       = one(google_cloudfunctions2_function.load[*].name)
}

output "url" {
  description = "Where the function takes requests, if trigger is http."
  value       = local.has_events ? null : one(google_cloudfunctions2_function.load[*].service_config[0].uri)
}

output "topic" {
  description = "Topic that starts a load; publish with gcloud pubsub topics publish."
  value       = one(google_pubsub_topic.update_calls[*].name)
}

output "dead_letters" {
  description = "Topic and subscription for messages that failed for good."
  value       = one(google_pubsub_topic.dead[*].name)
}

output "pubsub_agent" {
  description = "Pub/Sub's own account, which moves messages to dead_letters."
  value       = one([for name, agent in google_project_service_identity.agent : agent.member if startswith(name, "pubsub")])
}

output "image" {
  description = "Where to push the job's image."
  value       = local.job ? "${var.region}-docker.pkg.dev/${var.project}/${one(google_artifact_registry_repository.images[*].repository_id)}/comagic" : null
}

output "builder" {
  description = "Account that builds the image."
  value       = one(google_service_account.builder[*].email)
}

output "job" {
  description = "Name of the job."
  value       = one(google_cloud_run_v2_job.history[*].name)
}

output "address" {
  description = "IP address to allow in CoMagic's personal account; empty if there is no fixed address."
  value       = one(google_compute_address.egress[*].address)
}

output "github" {
  description = "Variables to set in the GitHub repository."
  value = local.github ? {
    GOOGLE_PROJECT                    = var.project
    GOOGLE_LOCATION                   = var.location
    GOOGLE_SERVICE_ACCOUNT            = google_service_account.loader.email
    GOOGLE_WORKLOAD_IDENTITY_PROVIDER = google_iam_workload_identity_pool_provider.github[0].name
    COMAGIC_BASE_URL                  = var.base_url
    COMAGIC_START_DATE                = var.start_date
    COMAGIC_RESOURCES                 = jsonencode(var.resources)
    COMAGIC_DATASET                   = local.dataset
    COMAGIC_REPORT                    = "no" # yes: everybody may download the artifacts of a public repository
  } : null
}
