# PostgreSQL without a public address: the function, DataLens and WebSQL reach it.

resource "yandex_vpc_security_group" "database" {
  count      = local.creates_cluster ? 1 : 0
  folder_id  = var.folder_id
  name       = "${var.name}-database"
  network_id = local.network_id
  ingress {
    description    = "The function and the container"
    protocol       = "TCP"
    port           = 6432
    v4_cidr_blocks = [local.functions_range]
  }
}

resource "yandex_mdb_postgresql_cluster" "calls" {
  count               = local.creates_cluster ? 1 : 0
  folder_id           = var.folder_id
  name                = var.name
  description         = "Calls and other data of the account, loaded from CoMagic by dlt."
  environment         = "PRODUCTION"
  network_id          = local.network_id
  security_group_ids  = yandex_vpc_security_group.database[*].id
  deletion_protection = var.deletion_protection
  config {
    version = "17"
    resources {
      resource_preset_id = var.preset
      disk_type_id       = "network-ssd"
      disk_size          = var.disk_gigabytes
    }
    access {
      data_lens = true
      web_sql   = true
    }
    pooler_config {
      pooling_mode = "SESSION" # a load needs temporary tables and SET, which end with a transaction in other modes
    }
  }
  host {
    zone             = var.zones[0]
    subnet_id        = local.subnet_id
    assign_public_ip = false
  }
}

resource "yandex_mdb_postgresql_user" "loader" {
  count               = local.creates_cluster ? 1 : 0
  cluster_id          = yandex_mdb_postgresql_cluster.calls[0].id
  name                = "comagic"
  password_wo         = var.database_password
  password_wo_version = var.password_version
}

# Its owner may create the schemas comagic and comagic_staging.
resource "yandex_mdb_postgresql_database" "calls" {
  count               = local.creates_cluster ? 1 : 0
  cluster_id          = yandex_mdb_postgresql_cluster.calls[0].id
  name                = "comagic"
  owner               = yandex_mdb_postgresql_user.loader[0].name
  deletion_protection = tostring(var.deletion_protection)
}
