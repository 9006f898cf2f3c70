// Send page views of a user with Snowplow's tracker: URL APP USER COUNT.

import { buildPageView, newTracker } from "@snowplow/node-tracker";

const [url, appId, user, count] = process.argv.slice(2);
let waiting = Number(count);
const tracker = newTracker(
  { namespace: "sp", appId },
  { endpoint: url, bufferSize: 7, onRequestSuccess: (batch) => (waiting -= batch.length) },
);
tracker.setUserId(user);
for (let number = 0; number < Number(count); number++) {
  tracker.track(buildPageView({ pageUrl: `https://shop.example/${number}` }));
}
while (waiting > 0) {
  tracker.flush();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
