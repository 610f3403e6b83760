variable "folder_id" {
  description = "ID of the folder in which everything is created: yc config get folder-id."
  type        = string
}

variable "name" {
  description = "Name of the function, the secret, the accounts and the database."
  type        = string
  default     = "comagic"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 32 of a-z, 0-9 and hyphens, and begins with a letter."
  }
}

variable "base_url" {
  description = "Endpoint of your brand."
  type        = string
  default     = "https://dataapi.comagic.ru/v2.0"
}

variable "start_date" {
  description = "Start of the first load, in the account's time zone."
  type        = string
}

variable "resources" {
  description = "What to load: names of reports and dictionaries, or the groups reports, dictionaries, all."
  type        = list(string)
  default     = ["calls"]
}

variable "schedule" {
  description = "Cron expression of the nightly load, of six fields and in UTC: minutes, hours, day, month, weekday, year."
  type        = string
  default     = "17 22 ? * * *" # 01:17 in Moscow: yesterday is over, and most schedules start on the full hour
  validation {
    condition     = length(split(" ", var.schedule)) == 6 && strcontains(var.schedule, "?")
    error_message = "A schedule has six fields, with ? as the day or the weekday, for example 17 22 ? * * *; it is in UTC."
  }
}

variable "hourly_schedule" {
  description = "Cron expression, in UTC, of loads that read one day again instead of lookback_days; empty for none."
  type        = string
  default     = "" # for example 47 3-20 ? * * *
  validation {
    condition     = var.hourly_schedule == "" || (length(split(" ", var.hourly_schedule)) == 6 && strcontains(var.hourly_schedule, "?"))
    error_message = "A schedule has six fields, with ? as the day or the weekday, for example 47 3-20 ? * * *; it is in UTC."
  }
}

variable "database" {
  description = "An existing PostgreSQL database to load into; null creates a cluster."
  type = object({
    host        = string
    port        = optional(number, 6432)
    name        = string
    user        = string
    sslmode     = optional(string, "verify-full")
    sslrootcert = optional(string) # default: Yandex's certificate, for clusters of Yandex
  })
  default = null
}

variable "database_password" {
  description = "Password of the new cluster's user, the same as in the secret; export TF_VAR_database_password, not in a file."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "password_version" {
  description = "Raise it after the password in the secret was changed, so that the user gets it."
  type        = number
  default     = 1
}

variable "preset" {
  description = "Class of the new cluster's host."
  type        = string
  default     = "c3-c2-m4"
}

variable "disk_gigabytes" {
  description = "Disk of the new cluster's host."
  type        = number
  default     = 20
}

variable "deletion_protection" {
  description = "Whether the new cluster and its database are protected from deletion; set it to false before you destroy them."
  type        = bool
  default     = true
}

variable "zones" {
  description = "All availability zones of the region: a function's network needs a subnet in each. The first has the cluster's host."
  type        = list(string)
  default     = ["ru-central1-a", "ru-central1-b", "ru-central1-d"]
}

variable "network" {
  description = "An existing network for the function, and its subnet in the first zone; all functions of a cloud share one. Null creates a network if one is needed."
  type = object({
    id        = string
    subnet_id = string
  })
  default = null
}

variable "static_address" {
  description = "Whether the function's requests to the API leave from a fixed IP address, by a small proxy machine; a fixed monthly cost."
  type        = bool
  default     = false
}

variable "webhook_host" {
  description = "Host of the secret's key webhook_url, to which failures are reported, for example hooks.slack.com; empty if it has no such key."
  type        = string
  default     = ""
}

variable "history" {
  description = "Whether to create the registry, and with an image the container, for a long history: an hour a run."
  type        = bool
  default     = false
}

variable "image" {
  description = "The container's image in that registry; empty until it is pushed."
  type        = string
  default     = ""
  validation {
    condition     = var.image == "" || var.history
    error_message = "An image is for the container: set history = true."
  }
}
