"""edge.openapi: an OpenAPI 3.0 or 3.1 description as what a route takes and gives.

`document` reads a description, `dialect` translates its schemas, `templates` finds the operation a path belongs to, `operation`
judges parameters and bodies by it, `answers` what upstreams answer, `stage` is what a route asks,
`told` what clients are told. Everything is compiled at load.
"""
