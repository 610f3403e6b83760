# A fixed IP address, for CoMagic's list of allowed addresses: direct VPC egress, which costs nothing, and NAT.

resource "google_compute_network" "egress" {
  count                   = var.static_address ? 1 : 0
  name                    = local.name
  auto_create_subnetworks = false
  depends_on              = [google_project_service.used]
}

resource "google_compute_subnetwork" "egress" {
  count                    = var.static_address ? 1 : 0
  name                     = local.name
  network                  = google_compute_network.egress[0].id
  region                   = var.region
  ip_cidr_range            = "10.8.0.0/26" # the smallest for direct VPC egress
  private_ip_google_access = true
}

resource "google_compute_address" "egress" {
  count      = var.static_address ? 1 : 0
  name       = local.name
  region     = var.region
  depends_on = [google_project_service.used]
}

resource "google_compute_router" "egress" {
  count   = var.static_address ? 1 : 0
  name    = local.name
  network = google_compute_network.egress[0].id
  region  = var.region
}

resource "google_compute_router_nat" "egress" {
  count                              = var.static_address ? 1 : 0
  name                               = local.name
  router                             = google_compute_router.egress[0].name
  region                             = var.region
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = google_compute_address.egress[*].self_link
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}
