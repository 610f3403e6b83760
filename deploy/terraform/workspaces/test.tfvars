project    = "my-project-test"
start_date = "2026-10-01"
resources  = ["all"]
