"""All source formats by name."""

from connectors.sources.format import Format
from connectors.sources.hightouch import HIGHTOUCH
from connectors.sources.rudderstack import RUDDERSTACK
from connectors.sources.segment import SEGMENT

FORMATS: dict[str, Format] = {one.name: one for one in (SEGMENT, RUDDERSTACK, HIGHTOUCH)}
