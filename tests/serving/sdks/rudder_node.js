// Send orders of a user with RudderStack's client: URL KEY USER COUNT.

import RudderAnalytics from "@rudderstack/rudder-sdk-node";

const [url, key, userId, count] = process.argv.slice(2);
const client = new RudderAnalytics(key, { dataPlaneUrl: url, flushAt: 7, retryCount: 30 });
for (let number = 0; number < Number(count); number++) {
  client.track({ userId, event: "Order Completed", properties: { number } });
}
await client.flush();
