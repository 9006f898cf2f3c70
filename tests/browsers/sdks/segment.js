import { AnalyticsBrowser } from "@segment/analytics-next";

let analytics;
window.start = async (url, writeKey, user) => {
  analytics = AnalyticsBrowser.load({ writeKey, cdnURL: url });
  await analytics.identify(user);
};
window.send = (number) => analytics.track("Order Completed", { number });
