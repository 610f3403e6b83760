# A network, for a database without a public address and for a fixed address. Functions in it get addresses of their own
# range; from there they reach hosts of the network, and the internet by Yandex's changing addresses.

locals {
  functions_range = "198.19.0.0/16" # fixed by Yandex
  has_network     = local.creates_cluster || var.static_address || var.network != null
  owns_network    = local.has_network && var.network == null
  network_id      = local.owns_network ? yandex_vpc_network.loader[0].id : try(var.network.id, null)
  subnet_id       = local.owns_network ? yandex_vpc_subnet.loader[var.zones[0]].id : try(var.network.subnet_id, null)
}

resource "yandex_vpc_network" "loader" {
  count     = local.owns_network ? 1 : 0
  folder_id = var.folder_id
  name      = var.name
}

resource "yandex_vpc_subnet" "loader" {
  for_each       = { for nth, zone in var.zones : zone => nth if local.owns_network }
  folder_id      = var.folder_id
  name           = "${var.name}-${each.key}"
  network_id     = yandex_vpc_network.loader[0].id
  zone           = each.key
  v4_cidr_blocks = ["10.130.${each.value}.0/24"]
}
