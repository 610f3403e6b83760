# What differs between workspaces (dev, test, prod) is in workspaces/<name>.tfvars.

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
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

variable "base_url" {
  description = "The brand's endpoint."
  type        = string
  default     = "https://dataapi.comagic.ru/v2.0"
}

variable "start_date" {
  description = "Day at which the first load begins, in the account's time zone."
  type        = string
}

variable "resources" {
  description = "What to load: names of reports and dictionaries, or reports, dictionaries, all."
  type        = list(string)
  default     = ["calls"]
}

variable "schedule" {
  description = "When to load, as cron, in time_zone; off the full hour."
  type        = string
  default     = "17 1 * * *"
}

variable "time_zone" {
  description = "IANA name of the schedule's zone."
  type        = string
  default     = "Europe/Moscow"
}

variable "static_address" {
  description = "Give the function and the job a fixed address for CoMagic's list of allowed ones; costs some tens of dollars a month."
  type        = bool
  default     = false
}

variable "alert_email" {
  description = "Who is told when no load has succeeded for 26 hours; empty for nobody."
  type        = string
  default     = ""
}

variable "github_repository" {
  description = "owner/name of a GitHub repository whose workflow may load without a key; empty for none."
  type        = string
  default     = ""
}

variable "job" {
  description = "A Cloud Run job for a long history: its image, the period's first and last day, and tasks at once; null for none."
  type = object({
    image = string
    since = string
    until = string
    tasks = number
  })
  default = null
}
