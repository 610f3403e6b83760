terraform {
  required_version = ">= 1.11" # the database's password is a write-only argument: it is never in the state
  required_providers {
    yandex = {
      source  = "yandex-cloud/yandex"
      version = ">= 0.222, < 1.0" # tests hold every argument against the documentation of 0.222
    }
  }

  # There is no .terraform.lock.hcl here, because no registry could be reached. `terraform init` writes one: commit it.

  # The state is a file in this folder. As soon as a second person or machine applies, keep it in a bucket of Object
  # Storage, by the backend "s3" with the endpoint https://storage.yandexcloud.net.
}

# The token and the cloud come from YC_TOKEN and YC_CLOUD_ID.
provider "yandex" {
  folder_id = var.folder_id
  zone      = var.zones[0]
}
