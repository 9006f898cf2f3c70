// With `?leaving` behind its path, a page sends in the way that suits those who leave at once.
import { newTracker, setUserId, trackPageView } from "@snowplow/browser-tracker";

const keepalive = location.search === "?leaving";
window.start = async (url, appId, user) => {
  newTracker("sp", url, { appId, keepalive });
  setUserId(user);
};
window.send = () => trackPageView();
