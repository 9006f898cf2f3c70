"""Send orders of a user with Hightouch's client: URL KEY USER COUNT."""

import sys

from hightouch.htevents import Client

url, key, user, count = sys.argv[1:]
client = Client(key, host=url, upload_size=7, on_error=lambda error, _: sys.exit(str(error)))
for number in range(int(count)):
    client.track(user, "Order Completed", {"number": number})
client.shutdown()
