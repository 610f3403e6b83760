workspace  = "test"
project    = "my-project-test"
ways       = ["function"]
start_date = "2026-10-01"
resources  = ["all"]
