"""All source formats by name."""

from connectors.sources.format import Format
from connectors.sources.hightouch import HIGHTOUCH
from connectors.sources.rudderstack import RUDDERSTACK
from connectors.sources.segment import SEGMENT
from connectors.sources.snowplow import SNOWPLOW

FORMATS: dict[str, Format] = {one.name: one for one in (SEGMENT, RUDDERSTACK, HIGHTOUCH, SNOWPLOW)}
