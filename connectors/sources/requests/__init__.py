"""What the vendors' clients send over HTTP, as the events that their pipelines would deliver."""
