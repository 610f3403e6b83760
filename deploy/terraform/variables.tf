# Values that differ between workspaces (dev, test, prod) are in workspaces/<name>.tfvars.

variable "workspace" {
  description = "Name of the workspace that these values are for: prod is comagic, any other comagic-<name>."
  type        = string
  validation {
    condition     = var.workspace == terraform.workspace
    error_message = "These values are for the workspace ${var.workspace}, but ${terraform.workspace} is selected: terraform workspace select -or-create ${var.workspace}."
  }
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,12}[a-z0-9]$", var.workspace))
    error_message = "The workspace is part of names that may have 30 characters: 2 to 14 of a-z, 0-9 and hyphens."
  }
}

variable "project" {
  description = "ID of the Google Cloud project."
  type        = string
}

variable "ways" {
  description = "Ways of running to create: github, function, job; any of them, none makes the datasets and the account alone."
  type        = set(string)
  validation {
    condition     = length(setsubtract(var.ways, ["github", "function", "job"])) == 0
    error_message = "The ways are github, function and job."
  }
}

variable "region" {
  description = "Region of the function, the job and their network."
  type        = string
  default     = "europe-west3"
}

variable "location" {
  description = "Location of the datasets: a region, EU or US. It cannot be changed later."
  type        = string
  default     = "EU"
}

variable "readers" {
  description = "Who may read the dataset besides the project's owners: user:, group: or serviceAccount: with an email address."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for reader in var.readers : can(regex("^(user|group|serviceAccount):.+@.+$", reader))])
    error_message = "Readers are written like group:analysts@my-company.com, user: or serviceAccount:."
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

variable "report" {
  description = "Where the function and the job write the report after a nightly load, gs://bucket/report.html; the loader needs the role Storage Object User there. Empty for none."
  type        = string
  default     = ""
  validation {
    condition     = var.report == "" || can(regex("^gs://[^/]+/.+[.]html$", var.report))
    error_message = "The report is written like gs://my-bucket/report.html."
  }
}

variable "trigger" {
  description = "What starts the function: event (a Pub/Sub message, 8 minutes a run) or http (a request, 28 minutes)."
  type        = string
  default     = "event"
  validation {
    condition     = contains(["event", "http"], var.trigger)
    error_message = "The trigger is event or http."
  }
}

variable "schedule" {
  description = "Cron schedule of the function, in time_zone."
  type        = string
  default     = "17 1 * * *" # yesterday is over in Moscow, and most schedules start on the full hour
}

variable "time_zone" {
  description = "IANA name of the schedule's time zone."
  type        = string
  default     = "Europe/Moscow"
}

variable "static_address" {
  description = "Whether the function and the job get a fixed IP address for CoMagic's list of allowed addresses; costs tens of dollars a month."
  type        = bool
  default     = false
  validation {
    condition     = !var.static_address || length(setintersection(var.ways, ["function", "job"])) > 0
    error_message = "A fixed address is for the function and the job; GitHub's runners cannot have it."
  }
}

variable "alert_email" {
  description = "Email address to alert when no load has succeeded for 26 hours, or one failed; empty for none."
  type        = string
  default     = ""
  validation {
    condition     = var.alert_email == "" || length(var.ways) > 0
    error_message = "There is nothing to alert about: ways is empty."
  }
}

variable "budget" {
  description = "Monthly amount, in the billing account's currency, at which its administrators and alert_email get mail; null for none."
  type = object({
    billing_account = string
    amount          = number
  })
  default = null
}

variable "github_repository_id" {
  description = "Number of the GitHub repository whose workflow may load without a key: gh api repos/{owner}/{repo} --jq .id"
  type        = string
  default     = ""
  validation {
    condition     = contains(var.ways, "github") ? can(regex("^[0-9]+$", var.github_repository_id)) : true
    error_message = "The way github needs the repository's number: gh api repos/{owner}/{repo} --jq .id."
  }
}

variable "image" {
  description = "Container image of the job; empty until it is built."
  type        = string
  default     = ""
}

variable "job" {
  description = "What the job loads: what is new (no period), or a period shared by a number of parallel tasks."
  type = object({
    since = optional(string)
    until = optional(string)
    tasks = optional(number, 1)
  })
  default = {}
  validation {
    condition     = (var.job.since == null) == (var.job.until == null) && (var.job.tasks == 1 || var.job.since != null)
    error_message = "The job has since and until, or neither; several tasks need both."
  }
}
