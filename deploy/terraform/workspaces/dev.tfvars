project    = "my-project-dev"
start_date = "2026-11-01"
resources  = ["calls", "tags"]
schedule   = "17 9 * * 1"
