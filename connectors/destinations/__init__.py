"""Where transitions go, one module a kind of destination."""
