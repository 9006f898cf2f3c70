// With `?leaving` behind its path, a page sends in the way that suits those who leave at once.
import { HtEventsBrowser } from "@ht-sdks/events-sdk-js-browser";

const batching = location.search === "?leaving";
let events;
window.start = async (url, writeKey, user) => {
  const apiHost = new URL(url).host;
  events = HtEventsBrowser.load({ writeKey }, { apiHost, protocol: "http", batching });
  await events.identify(user);
};
window.send = (number) => events.track("Order Completed", { number });
