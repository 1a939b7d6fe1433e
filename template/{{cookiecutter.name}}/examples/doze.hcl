# Try it without doze: modtool dev
{{ cookiecutter.name }} "site" {
  port = 8080
  root = "public"

  header "Cache-Control" {
    value = "no-store"
  }
}
