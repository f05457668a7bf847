/* A subscription: how it stands, and what its owner wants to become of it. */

import { API, act, ask } from "./api.js";
import { button, confirmed, fact, goTo, make, say, whileBusy } from "./make.js";
import { openPayment } from "./payment.js";
import { SUBSCRIPTION_STATES, day, euros, hours, inWords, moment, number, price } from "./words.js";

const CHANGED = ["subscription", "balance", "history", "ledger", "receipts"];
const ENDED = ["canceled", "incomplete_expired"];
const LOOK = 700; // milliseconds
const LOOKS = 30;

export async function showSubscription(body, account) {
  const { subscription: found } = await ask(`${API}subscription/`);
  if (!found || ENDED.includes(found.status)) return showNone(body, found);
  const plans = (await ask(`${API}pricing-plans/`)).filter((plan) => plan.plan_type === "subscription");
  const trouble = make("p", { class: "alert", role: "alert", hidden: true });
  const place = make("div", {});
  const doing = { trouble, place, account };
  const due = found.dunning && dunning(found.dunning, doing);
  const actions = make("div", { class: "actions" }, ...acts(found, doing));
  body.replaceChildren(make("dl", { class: "facts" }, ...facts(found)), ...[due].filter(Boolean), trouble, place, change(found, plans, doing), actions);
}

function showNone(body, found) {
  const words = found?.ended_at ? `Your subscription ended on ${day(found.ended_at)}.` : "You have no subscription.";
  body.replaceChildren(make("p", { class: "quiet" }, words), make("a", { class: "button", href: "/shop/#subscriptions-title" }, "See subscriptions"));
}

function facts(found) {
  const { plan, next_plan: next, hours_this_period: period } = found;
  const state = found.is_paused ? "paused: nothing is charged" : inWords(SUBSCRIPTION_STATES, found.status);
  const then = found.cancel_at_period_end ? "Ends on" : "Next payment";
  return [
    plan && fact("Plan", `${plan.name}, ${price(plan)}`),
    fact("State", state),
    period && fact("Hours of this period", `${number(period.hours_remaining)} of ${hours(period.hours_included)} left`),
    fact(found.is_paused && !found.cancel_at_period_end ? "Period until" : then, day(found.current_period_end)),
    next && fact("From then on", `${next.name}, ${price(next)}`),
  ].filter(Boolean);
}

/** Does it, and says so, or what it gave to be said; what was refused stands where it was asked for. */
function doer({ trouble, account }, words, what) {
  return async (event) => {
    say(trouble, "");
    try {
      const done = await whileBusy(event.target, what);
      if (done) await account.said(typeof done === "string" ? done : words, ...CHANGED);
    } catch (error) {
      say(trouble, error.message);
    }
  };
}

function acts(found, doing) {
  const isLeaving = found.cancel_at_period_end;
  const resume = doer(doing, "The subscription goes on.", () => act("subscription/resume/"));
  const pause = doer(doing, "The subscription is paused.", () => act("subscription/pause/"));
  const cancel = doer(doing, "The subscription ends with the period that is paid.", async () => {
    const words = `You keep your hours until ${day(found.current_period_end)}, and nothing more is charged.`;
    return (await confirmed("Cancel the subscription?", words, "Cancel it")) && act("subscription/cancel/", { at_period_end: true });
  });
  return [
    (isLeaving || found.is_paused) && button("Resume", resume),
    !isLeaving && !found.is_paused && found.status === "active" && button("Pause", pause),
    !isLeaving && button("Cancel the subscription", cancel),
  ].filter(Boolean);
}

function change(found, plans, doing) {
  const current = (found.next_plan ?? found.plan)?.id;
  const others = plans.filter((plan) => plan.id !== current);
  if (others.length === 0 || found.cancel_at_period_end || found.status !== "active") return "";
  const select = make("select", { id: "change-plan" }, ...others.map((plan) => make("option", { value: plan.id }, `${plan.name}, ${hours(plan.hours_included)}, ${price(plan)}`)));
  const ask = doer(doing, "The plan changes with the next period.", () => act("subscription/change-plan/", { plan_id: Number(select.value) }));
  const label = make("label", { for: select.id }, "Another plan from the next period on");
  return make("div", { class: "field" }, label, make("div", { class: "actions" }, select, button("Change", ask)));
}

function dunning(due, doing) {
  const next = due.next_attempt_at ? ` It is tried again on ${moment(due.next_attempt_at)}.` : "";
  const paid = doer(doing, "The payment was made.", () => act("subscription/pay/"));
  const other = due.client_secret && button("Pay with another card", (event) => payOtherwise(event.target, due, doing));
  const words = `The last payment of ${euros(due.amount_due)} did not succeed.${next}`;
  return make("div", { class: "alert" }, make("p", {}, words), make("div", { class: "actions" }, button("Pay now", paid), other));
}

async function payOtherwise(opener, due, { trouble, place, account }) {
  const title = make("h3", { tabindex: "-1" }, "Payment");
  const where = make("div", { class: "element" });
  const pay = make("button", { class: "primary" }, `Pay ${euros(due.amount_due)}`);
  const node = make("form", { novalidate: true }, title, where, make("div", { class: "actions" }, pay));
  place.replaceChildren(node);
  try {
    const { public_key: publicKey } = await whileBusy(opener, () => ask(`${API}stripe/config/`));
    const payment = await openPayment(where, publicKey, due.client_secret);
    goTo(title);
    node.addEventListener("submit", (event) => {
      event.preventDefault();
      const sent = doer({ trouble, account }, "The payment arrived; the hours of this period are here.", () => paid(payment));
      if (node.getAttribute("aria-busy") !== "true") sent({ target: node });
    });
  } catch (error) {
    say(trouble, error.message);
  }
}

/** The hours come with the invoice's confirmation, a moment after the payment; words where it takes longer. */
async function paid(payment) {
  await payment.confirm();
  for (let look = 0; look < LOOKS; look += 1) {
    const { subscription: found } = await ask(`${API}subscription/`);
    if (!found?.dunning) return true;
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
  return "The payment was sent; the hours arrive with its confirmation.";
}
