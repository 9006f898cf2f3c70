// With `?leaving` behind its path, a page sends in the way that suits those who leave at once.
import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

const useBeacon = location.search === "?leaving";
const analytics = new RudderAnalytics();
window.start = (url, key, user) =>
  new Promise((resolve) => {
    analytics.load(key, url, { configUrl: url, useBeacon });
    analytics.ready(resolve);
    analytics.identify(user);
  });
window.send = (number) => analytics.track("Order Completed", { number });
