# A fixed IP address for CoMagic's list of allowed addresses. Yandex's NAT gateways cannot have a reserved address, and a
# function's own subnets are not the user's to route: so a small machine with a reserved address passes the function's
# requests on. It is reached from functions alone, and passes on connections to the API's host alone, which stay encrypted.

locals {
  proxy_port = 8888
  proxy      = var.static_address ? "http://${yandex_compute_instance.proxy[0].network_interface[0].ip_address}:${local.proxy_port}" : ""
  api_host   = regex("^https://([^/:]+)", var.base_url)[0]
}

resource "yandex_vpc_address" "egress" {
  count               = var.static_address ? 1 : 0
  folder_id           = var.folder_id
  name                = var.name
  deletion_protection = var.deletion_protection
  external_ipv4_address {
    zone_id = var.zones[0]
  }
}

resource "yandex_vpc_security_group" "proxy" {
  count      = var.static_address ? 1 : 0
  folder_id  = var.folder_id
  name       = "${var.name}-proxy"
  network_id = local.network_id
  ingress {
    description    = "The function and the container"
    protocol       = "TCP"
    port           = local.proxy_port
    v4_cidr_blocks = [local.functions_range]
  }
  egress {
    description    = "The API, packages, names, time"
    protocol       = "ANY"
    v4_cidr_blocks = ["0.0.0.0/0"]
  }
}

data "yandex_compute_image" "ubuntu" {
  count  = var.static_address ? 1 : 0
  family = "ubuntu-2404-lts"
}

resource "yandex_compute_instance" "proxy" {
  count       = var.static_address ? 1 : 0
  folder_id   = var.folder_id
  name        = "${var.name}-proxy"
  zone        = var.zones[0]
  platform_id = "standard-v3"
  resources {
    cores         = 2
    memory        = 1
    core_fraction = 20
  }
  boot_disk {
    initialize_params {
      image_id = data.yandex_compute_image.ubuntu[0].id
      size     = 10
    }
  }
  network_interface {
    subnet_id          = local.subnet_id
    nat                = true
    nat_ip_address     = yandex_vpc_address.egress[0].external_ipv4_address[0].address
    security_group_ids = yandex_vpc_security_group.proxy[*].id
  }
  metadata = {
    user-data = templatefile("${path.module}/proxy.yaml", { port = local.proxy_port, clients = local.functions_range, host = local.api_host })
  }
  lifecycle {
    ignore_changes = [boot_disk] # a newer image is no reason for another machine
  }
}
