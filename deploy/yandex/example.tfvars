# Copy it to prod.tfvars in the repository's root, which git ignores, and edit it.
folder_id  = "b1g0000000000000000"
start_date = "2026-11-01"
resources  = ["calls"]
