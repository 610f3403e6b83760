# Values that differ between workspaces (dev, test, prod) are in workspaces/<name>.tfvars.

variable "project" {
  description = "ID of the Google Cloud project."
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
  description = "Cron schedule of the load, in time_zone; avoid the full hour."
  type        = string
  default     = "17 1 * * *"
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
}

variable "alert_email" {
  description = "Email address to alert when no load has succeeded for 26 hours; empty for none."
  type        = string
  default     = ""
}

variable "github_repository" {
  description = "GitHub repository (owner/name) whose workflow may load without a key; empty for none."
  type        = string
  default     = ""
}

variable "job" {
  description = "Cloud Run job for a long history: image, first and last day of the period, number of parallel tasks; null for none."
  type = object({
    image = string
    since = string
    until = string
    tasks = number
  })
  default = null
}
