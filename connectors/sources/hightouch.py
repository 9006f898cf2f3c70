"""Hightouch Events' records: Segment's form."""

from connectors.sources.segment import segment_shaped

HIGHTOUCH = segment_shaped("hightouch")
