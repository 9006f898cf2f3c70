"""RudderStack's records: Segment's form, the traits of an identify call inside its context."""

from connectors.sources.segment import segment_shaped

RUDDERSTACK = segment_shaped("rudderstack")
