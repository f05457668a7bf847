/* Hours with one click: a package, paid with a saved card. */

import { API, ask, newKey } from "./api.js";
import { cardName } from "./cards.js";
import { make, say, whileBusy } from "./make.js";
import { keepPurchase } from "./session.js";
import { followInto, isOver } from "./timeline.js";
import { hours, price } from "./words.js";

const CHANGED = ["balance", "history", "ledger", "receipts"];

export async function showTopUp(body, account) {
  const [plans, { payment_methods: cards }] = await Promise.all([ask(`${API}pricing-plans/`), ask(`${API}payment-methods/`)]);
  const packages = plans.filter((plan) => plan.plan_type === "package");
  const usable = cards.filter((card) => !card.is_expired);
  if (usable.length === 0 || packages.length === 0) {
    const words = usable.length ? "No package is for sale at the moment." : "Save a card, and a package is one click away.";
    return body.replaceChildren(make("p", { class: "quiet" }, words), make("a", { class: "button", href: "/shop/" }, "See all plans"));
  }
  body.replaceChildren(topUpForm(packages, usable, account));
}

const option = (value, words, selected) => make("option", { value, selected }, words);

function select(label, name, options) {
  return make("div", { class: "field" }, make("label", { for: `topup-${name}` }, label), make("select", { id: `topup-${name}`, name }, ...options));
}

function topUpForm(packages, cards, account) {
  const places = {
    list: make("ol", { class: "timeline" }),
    message: make("p", { role: "status" }),
    link: make("p", { class: "quiet", role: "status" }),
  };
  const trouble = make("p", { class: "alert", role: "alert", hidden: true });
  const plans = packages.map((plan) => option(plan.id, `${plan.name}: ${hours(plan.hours_included)}, ${price(plan)}`, plan.is_featured));
  const methods = cards.map((card) => option(card.id, cardName(card), card.is_default));
  const fields = [select("Package", "plan_id", plans), select("Card", "payment_method_id", methods)];
  const outcome = make("div", { class: "outcome" }, make("button", { class: "primary" }, "Buy now"), ...Object.values(places));
  const node = make("form", {}, ...fields, trouble, outcome);
  const key = { wish: "", value: "" };
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (node.getAttribute("aria-busy") === "true") return;
    const given = Object.fromEntries(new FormData(node));
    const plan = packages.find(({ id }) => id === Number(given.plan_id));
    say(trouble, "");
    try {
      await whileBusy(node, () => buy({ ...given, expected_price_eur: plan.price_eur }, key, places, account, trouble));
    } catch (error) {
      say(trouble, error.message);
    }
  });
  return node;
}

/** While nobody knows what became of a wish, the same wish keeps its key. */
async function buy(body, key, places, account, trouble) {
  const wish = JSON.stringify(body);
  if (key.wish !== wish) Object.assign(key, { wish, value: newKey() });
  const headers = { "Idempotency-Key": key.value };
  const accepted = await ask(`${API}quick-topup/`, { method: "POST", body, headers });
  const purchase = { id: accepted.task_id, accessToken: accepted.access_token };
  const end = await ending(places, purchase);
  key.wish = "";
  if (end.status === "completed") return account.said(`${hours(end.plan_details.hours_included)} are yours.`, ...CHANGED);
  say(trouble, end.message);
  if (end.client_secret) offerCheckout(end, purchase, trouble);
  await account.refresh("history");
}

/** Decided here is also what the card's bank refused: its owner may still pay otherwise. */
function ending(places, purchase) {
  return new Promise((resolve) => {
    const stop = new AbortController();
    const onstate = (state) => {
      if (!isOver(state) && state.status !== "failed") return;
      resolve(state);
      stop.abort();
    };
    followInto(places, purchase, onstate, stop.signal);
  });
}

function offerCheckout(state, purchase, trouble) {
  const planId = state.plan_details.id;
  const href = `/shop/checkout/${planId}/`;
  trouble.append(" ", make("a", { href, onclick: () => keepPurchase(planId, purchase) }, "Pay it in another way"));
}
