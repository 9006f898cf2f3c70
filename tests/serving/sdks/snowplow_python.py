"""Send page views of a user with Snowplow's tracker: URL APP USER COUNT."""

import sys
import time
from urllib.parse import urlsplit

from snowplow_tracker.emitters import Emitter
from snowplow_tracker.events.page_view import PageView
from snowplow_tracker.subject import Subject
from snowplow_tracker.tracker import Tracker

url, app, user, count = sys.argv[1:]
address = urlsplit(url)
assert address.hostname is not None
taken: list[dict[str, object]] = []
emitter = Emitter(
    address.hostname,
    protocol="http",
    port=address.port,
    batch_size=7,
    on_success=taken.extend,
    max_retry_delay_seconds=1,
)
tracker = Tracker("sp", emitter, Subject().set_user_id(user), app_id=app)
for number in range(int(count)):
    tracker.track(PageView(page_url=f"https://shop.example/{number}"))
while len(taken) < int(count):
    tracker.flush()
    time.sleep(0.1)
