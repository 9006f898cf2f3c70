"""RudderStack's records: Segment's form, with `rudderId`, `request_ip` and traits in the context."""

from connectors.sources.segment import segment_shaped

RUDDERSTACK = segment_shaped("rudderstack")
