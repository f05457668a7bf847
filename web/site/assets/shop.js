/* The plans that are for sale now. */

import { API, ask } from "./api.js";
import { find, make, say } from "./make.js";
import { forgetFinished, takeHandedToken } from "./session.js";
import { euros, hours, validity } from "./words.js";

function card(plan) {
  const title = make("h3", { id: `plan-${plan.id}` }, plan.name);
  const each = `${euros(plan.price_per_hour)} an hour`;
  const href = `/shop/checkout/${plan.id}/`;
  return make(
    "li",
    { class: plan.is_featured ? "card plan featured" : "card plan" },
    plan.is_featured && make("p", { class: "badge" }, "Most popular"),
    title,
    plan.description && make("p", { class: "quiet" }, plan.description),
    make("p", { class: "price" }, euros(plan.price_eur), plan.plan_type === "subscription" && make("small", {}, " a month")),
    make("ul", { class: "points" }, ...[hours(plan.hours_included), each, validity(plan)].map((point) => make("li", {}, point))),
    make("a", { class: plan.is_featured ? "button primary" : "button", href, "aria-describedby": title.id }, "Choose this plan"),
  );
}

function show(id, plans) {
  const list = find(id);
  list.replaceChildren(...plans.map(card));
  list.removeAttribute("aria-busy");
  list.closest("section").hidden = plans.length === 0;
}

async function start() {
  takeHandedToken();
  forgetFinished();
  try {
    const plans = await ask(`${API}pricing-plans/`, { isOwn: false });
    const ofType = (type) => plans.filter((plan) => plan.plan_type === type);
    show("packages", ofType("package"));
    show("subscriptions", ofType("subscription"));
    if (plans.length === 0) say(find("problem"), "There is nothing for sale at the moment.");
  } catch (error) {
    say(find("problem"), error.message);
  }
}

start();
