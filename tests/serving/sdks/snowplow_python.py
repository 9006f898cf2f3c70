"""Send page views of a user with Snowplow's tracker: URL APP USER COUNT."""

import sys
import time
from urllib.parse import urlsplit

from snowplow_tracker import Emitter, PageView, Subject, Tracker

url, app, user, count = sys.argv[1:]
address = urlsplit(url)
waiting = int(count)


def taken(events):
    global waiting
    waiting -= len(events)


emitters = [
    Emitter(address.hostname, protocol="http", port=address.port, method="post", batch_size=7,
            on_success=taken, max_retry_delay_seconds=1),
]  # fmt: skip
tracker = Tracker("sp", emitters, Subject().set_user_id(user), app_id=app)
for number in range(waiting):
    tracker.track(PageView(page_url=f"https://shop.example/{number}"))
while waiting:
    tracker.flush()
    time.sleep(0.1)
