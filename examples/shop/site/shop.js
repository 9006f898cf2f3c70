// The shop's page: what its visitor does is sent to Usher, and what Usher says of the visitor is
// shown.  Nothing is ever loaded anew; the path says which page it is.

import { drawing, products } from "./catalogue.js";

const $ = (id) => document.getElementById(id);
const euros = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" });
const cart = [];
const audiences = new Set();
let orderedAt = null;

const session = async () => (await fetch("/session")).json();
const { userId, name, usher } = await session();
$("customer").textContent = `Hello, ${name}`;

// Segment's own client. It asks Usher where to send, and by which key.
const analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey: "shop", cdnURL: usher });
analytics.identify(userId);

// ---- Pages

const card = ({ sku, name, category, price }) => `
  <a class="card" href="/products/${sku}">${drawing(category)}
    <h2>${name}</h2><p>${euros.format(price)}</p></a>`;

const plan = (name, price, what) => `
  <div class="card plan"><h2>${name}</h2><p class="price">${price}</p><p>${what}</p></div>`;

const furniture = () => `
  <h1>Made of one tree each</h1><div class="grid">${products.map(card).join("")}</div>`;

const pricing = () => `
  <h1>Pricing</h1><div class="grid">
  ${plan("Free", "€0", "Order when you like. Delivery from €19.")}
  ${plan("Pro", "€9 a month", "Free delivery, and a year to change your mind.")}
  ${plan("Business", "€49 a month", "All of Pro, assembled, for the whole office.")}</div>`;

const product = ({ sku, name, category, price }) => `
  <article class="product">${drawing(category)}
    <div><p class="kind">${category}</p><h1>${name}</h1><p class="price">${euros.format(price)}</p>
    <p>Solid, oiled, and repaired by us for as long as you have it.</p>
    <button data-add="${sku}">Put into the cart</button></div></article>`;

const basket = () => cart.length === 0 ? "<h1>Your cart is empty</h1>" : `
  <h1>Your cart</h1><ul class="cart">${cart.map(({ name, price }) => `
    <li><span>${name}</span><span>${euros.format(price)}</span></li>`).join("")}
    <li class="sum"><span>Total</span><span>${euros.format(total())}</span></li></ul>
  <button id="order">Order now</button>`;

const thanks = () => "<h1>Thank you!</h1><p>Your furniture is on its way.</p>";

const total = () => Math.round(cart.reduce((sum, { price }) => sum + price, 0) * 100) / 100;

function show(path) {
  const shown = products.find(({ sku }) => path === `/products/${sku}`);
  const page = { "/pricing": pricing, "/cart": basket, "/thanks": thanks }[path] ?? furniture;
  $("page").innerHTML = shown ? product(shown) : page();
  $("count").textContent = cart.length;
  $("count").hidden = cart.length === 0;
  document.title = `${$("page").querySelector("h1").textContent} · Oak & Rye`;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href") === path;
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  analytics.page();
  if (shown) analytics.track("Product Viewed", shown);
}

function go(path) {
  history.pushState(null, "", path);
  show(path);
  scrollTo(0, 0);
}

addEventListener("popstate", () => show(location.pathname));
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  const button = event.target.closest("button");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    go(link.getAttribute("href"));
  } else if (button?.dataset.add) {
    const added = products.find(({ sku }) => sku === button.dataset.add);
    cart.push(added);
    analytics.track("Product Added", { ...added, quantity: 1 });
    go("/cart");
  } else if (button?.id === "order") {
    order();
  }
});

function order() {
  orderedAt = performance.now();
  analytics.track("Order Completed", {
    order_id: crypto.randomUUID(),
    total: total(),
    currency: "EUR",
    products: cart.map(({ sku, price }) => ({ sku, price, quantity: 1 })),
  });
  cart.length = 0;
  go("/thanks");
}

show(location.pathname);

// ---- What Usher says

function showAudiences() {
  $("banner").hidden = !audiences.has("high_intent_pricing");
  $("audiences").textContent =
    audiences.size === 0 ? "You are in no audience." : `You are in ${[...audiences].join(", ")}.`;
}

function tell({ type, audience, effective_at: at }) {
  const line = document.createElement("li");
  let text = `${new Date(at).toLocaleTimeString()}  ${type} ${audience}`;
  if (type === "exited" && orderedAt !== null) {
    line.dataset.milliseconds = Math.round(performance.now() - orderedAt);
    text += `, ${line.dataset.milliseconds} ms after you ordered`;
    orderedAt = null;
  }
  line.textContent = text;
  $("told").prepend(line);
}

// Who is in what, and from there on what changes: `cursor` is where the stream is to begin. A browser
// comes back by itself when a stream breaks off, but not when its token has ended; and what it has
// missed for too long is no longer kept (`gap`). Either way, all begins anew with another token.
async function listen() {
  const { userId, token } = await session();
  const about = `${usher}/v1/audiences/users/${userId}?include=details&token=${token}`;
  const { audience_ids: ids, cursor } = await (await fetch(about)).json();
  audiences.clear();
  ids.forEach((id) => audiences.add(id));
  showAudiences();
  const stream = new EventSource(`${usher}/v1/stream?after=${cursor}&token=${token}`);
  const beginAnew = () => {
    stream.close();
    listenAfter(2_000);
  };
  stream.addEventListener("gap", beginAnew);
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) beginAnew();
  };
  stream.onmessage = ({ data }) => {
    const transition = JSON.parse(data);
    audiences[transition.type === "entered" ? "add" : "delete"](transition.audience);
    showAudiences();
    tell(transition);
  };
}

function listenAfter(milliseconds) {
  setTimeout(() => listen().catch(() => listenAfter(5_000)), milliseconds);
}

listenAfter(0);
