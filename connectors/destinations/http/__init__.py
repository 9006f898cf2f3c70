"""Everything that is spoken over HTTP."""
