# A development database with the references that a real one has.
postgres "app" {
  version = var.pg_version
  port    = 5432

  owner           = local.owner
  shared_buffers  = "${(count.index + 1) * 64}mb"
  max_connections = var.small ? 20 : 100
  fsync           = false
  extensions      = ["uuid-ossp", "pg_trgm", var.extra]

  settings = {
    work_mem       = "8MB"
    io_method      = "worker"
    log_statement  = var.log
    cluster_name   = "app-${var.stage}"
  }

  role "app" {
    login     = true
    password  = "app"
    member_of = ["readers"]
  }

  schema "billing" {
    owner = "app"
  }

  grant {
    role       = "app"
    database   = postgres.base.name
    privileges = ["connect", "create"]
  }
}
