workspace  = "dev"
project    = "my-project-dev"
ways       = ["function"]
start_date = "2026-11-01"
resources  = ["calls", "tags"]
schedule   = "17 9 * * 1"
