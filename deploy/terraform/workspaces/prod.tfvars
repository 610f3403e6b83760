workspace  = "prod"
project    = "my-project"
ways       = ["function"]
start_date = "2026-11-01"
resources  = ["all"]
