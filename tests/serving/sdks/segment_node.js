// Send orders of a user with Segment's client: URL KEY USER COUNT.

import { Analytics } from "@segment/analytics-node";

const [url, writeKey, userId, count] = process.argv.slice(2);
const client = new Analytics({ writeKey, host: url, flushAt: 7, maxRetries: 30 });
client.on("error", (error) => {
  console.error(error);
  process.exitCode = 1;
});
for (let number = 0; number < Number(count); number++) {
  client.track({ userId, event: "Order Completed", properties: { number } });
}
await client.closeAndFlush({ timeout: 60_000 });
