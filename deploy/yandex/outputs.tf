output "function" {
  description = "Name of the function and of its log."
  value       = yandex_function.load.name
}

output "database_host" {
  description = "Host of the database, which takes connections on port 6432 from the network."
  value       = local.database.host
}

output "address" {
  description = "IP address to allow in CoMagic's personal account; null if there is no fixed address."
  value       = one(yandex_vpc_address.egress[*].external_ipv4_address[0].address)
}

output "image" {
  description = "Where to push the container's image."
  value       = var.history ? "cr.yandex/${yandex_container_registry.images[0].id}/comagic" : null
}

output "history" {
  description = "Where a request starts the container."
  value       = one(yandex_serverless_container.history[*].url)
}
