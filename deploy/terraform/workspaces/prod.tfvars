project     = "my-project"
start_date  = "2026-11-01"
resources   = ["all"]
alert_email = "analyst@example.com"
