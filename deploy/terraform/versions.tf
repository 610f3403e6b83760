terraform {
  required_version = ">= 1.9" # conditions of variables may refer to other variables
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 8.7, < 9.0" # tests hold every argument against the schemas of 8.7
    }
    google-beta = { # for google_project_service_identity alone
      source  = "hashicorp/google-beta"
      version = ">= 8.7, < 9.0"
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.7, < 3.0"
    }
    time = {
      source  = "hashicorp/time"
      version = ">= 0.12, < 1.0"
    }
  }

  # There is no .terraform.lock.hcl here, because no registry could be reached. `terraform init` writes one: commit it.

  # The state is a file in this folder. As soon as a second person or machine applies, keep it in a bucket:
  #   gcloud storage buckets create gs://my-project-terraform --location europe-west3 --uniform-bucket-level-access
  #   gcloud storage buckets update gs://my-project-terraform --versioning
  # then uncomment the block, and run `terraform init -migrate-state`. Workspaces have a state each.
  # backend "gcs" {
  #   bucket = "my-project-terraform"
  #   prefix = "comagic"
  # }
}

provider "google" {
  project = var.project
  region  = var.region
}

provider "google-beta" {
  project = var.project
  region  = var.region
}

# Budgets belong to the billing account: with a user's credentials the API wants to know whose quota it uses.
provider "google" {
  alias                 = "budget"
  project               = var.project
  billing_project       = var.project
  user_project_override = true
}
