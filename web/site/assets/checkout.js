/* One purchase: whose it is, its payment, and what became of it. A reload goes on where it was. */

import { API, Refusal, ask, newKey } from "./api.js";
import { field, form, submit } from "./form.js";
import { button, fact, find, goTo, make, say, whileBusy } from "./make.js";
import { openPayment } from "./payment.js";
import * as session from "./session.js";
import { followInto, isOver } from "./timeline.js";
import { hours, price, validity } from "./words.js";

const planId = Number(location.pathname.match(/(\d+)\/$/)[1]);
const stage = find("stage");
const problem = find("problem");
const PAYABLE = ["pending", "failed"];
const ON_THE_WAY = "Your payment was sent; its confirmation is on the way…";
const LATE = 10_000; // milliseconds

let plan = null;
let payment = null; // the form of the payment that is on the page
let shown = ""; // what the stage shows

function showOrder() {
  const facts = [
    fact("Plan", plan.name),
    fact("Hours", hours(plan.hours_included)),
    fact("Validity", validity(plan)),
    fact("Total", price(plan), { class: "total" }),
  ];
  find("order-facts").replaceChildren(...facts);
  find("order").hidden = false;
  document.title = `${plan.name} · Tutoring hours`;
}

/** The stage changes only with what it shows, so that nobody loses what he has chosen; a reader follows the change. */
function stageIs(name, ...children) {
  shown = name;
  payment?.close();
  payment = null;
  stage.replaceChildren(...children);
  stage.removeAttribute("aria-busy");
}

/* 1. Whose purchase it is */

function showForm() {
  const wish = session.wishOf(planId);
  const claims = session.claims();
  const name = wish?.body.student_info.name ?? claims?.name;
  const email = wish?.body.student_info.email ?? claims?.email;
  const fields = [
    field("Name", { name: "name", path: "student_info.name", autocomplete: "name", required: true, value: name }),
    field("E-mail", { name: "email", path: "student_info.email", type: "email", autocomplete: "email", required: true, value: email }),
  ];
  const whose = claims && make("p", { class: "quiet" }, `You are signed in as ${claims.name || claims.email || claims.sub}.`);
  const details = form(fields, "Continue to payment", initiate, problem);
  find("progress").hidden = true;
  stageIs("form", make("section", { class: "card" }, make("h2", {}, "Who are the hours for?"), whose, details));
  return details;
}

/** The key is kept with the wish: the same wish again, by a second click or after a reload, is the same purchase. */
async function initiate({ name, email }) {
  const body = { plan_id: planId, student_info: { name, email }, expected_price_eur: plan.price_eur };
  const kept = session.wishOf(planId);
  const isSame = kept && JSON.stringify(kept.body) === JSON.stringify(body);
  const wish = session.keepWish(planId, { key: isSame ? kept.key : newKey(), body, isSent: true });
  try {
    const headers = { "Idempotency-Key": wish.key };
    const accepted = await ask(`${API}purchase/initiate/`, { method: "POST", body, headers });
    follow(session.keepPurchase(planId, { id: accepted.task_id, accessToken: accepted.access_token }));
  } catch (error) {
    session.keepWish(planId, { ...wish, isSent: false });
    if (error.type === "price_changed") await loadPlan();
    if (error.status !== 401) throw error;
    showForm(); // signed in no more
    throw new Refusal(401, { message: "Your sign-in has ended. You can go on without it." });
  }
}

/* 2. What becomes of it */

function follow(purchase) {
  find("progress").hidden = false;
  if (shown !== "preparing") stageIs("preparing", waiting("Your payment is being prepared…"));
  const places = { list: find("timeline"), message: find("message"), link: find("link") };
  followInto(places, purchase, (state) => show(state)).then((isKnown) => {
    if (isKnown) return;
    re// A page that the browser kept as it was left is busy with what is over.
addEventListener("pageshow", (event) => event.persisted && location.reload());

start();
    say(problem, "This purchase is not known any more. Please start again.");
  });
}

const waiting = (words) => make("section", { class: "card waiting", "aria-busy": "true" }, make("p", {}, words));

const remember = (facts) => session.keepPurchase(planId, { ...session.purchaseOf(planId), ...facts });

function show(state) {
  const purchase = session.purchaseOf(planId);
  if (isOver(state)) {
    remember({ isOver: true });
    return state.status === "completed" ? showSuccess(state) : showEnd(state);
  }
  const failures = state.timeline.filter(({ step }) => step === "payment_failed").length;
  if (failures > (purchase.failures ?? 0)) remember({ failures, isSent: false });
  if (state.status === "completed") return showSent("The payment arrived; the hours are being credited…");
  if (state.status === "processing") return showSent("Your payment is being processed. You may close this page; the hours arrive by themselves.");
  if (!PAYABLE.includes(state.status) || !state.client_secret) return;
  if (session.purchaseOf(planId).isSent) return showSent(ON_THE_WAY, state);
  if (shown !== "payment") showPayment(state);
}

/** A payment that a bank refuses late leaves its buyer a way to pay otherwise; Stripe takes none twice. */
function showSent(words, payable = null) {
  if (shown === words) return;
  const card = waiting(words);
  stageIs(words, card);
  if (payable) setTimeout(() => shown === words && card.append(button("Pay in another way", () => payAgain(payable))), LATE);
}

function payAgain(state) {
  remember({ isSent: false });
  showPayment(state);
}

/* 3. The payment */

function showPayment(state) {
  const where = make("div", { class: "element" });
  const title = make("h2", { tabindex: "-1" }, "Payment");
  const trouble = make("p", { class: "alert", role: "alert", hidden: true });
  const pay = make("button", { class: "primary" }, `Pay ${price(state.plan_details)}`);
  const details = make("form", { novalidate: true }, where, trouble, make("div", { class: "actions" }, pay, cancelButton(state, trouble)));
  details.addEventListener("submit", (event) => {
    event.preventDefault();
    if (payment && details.getAttribute("aria-busy") !== "true") confirm(details, state, trouble);
  });
  stageIs("payment", make("section", { class: "card" }, title, details));
  say(trouble, session.purchaseOf(planId).trouble ?? (state.status === "failed" ? state.message : null));
  mount(where, state, trouble);
  goTo(title);
}

async function mount(where, state, trouble) {
  try {
    payment = await openPayment(where, state.publishable_key, state.client_secret);
  } catch (error) {
    say(trouble, error.message);
    where.replaceChildren(button("Load the payment form again", () => mount(where, state, trouble)));
  }
}

/** Sent is what the script accepted; whether it was paid only the door says, by the timeline. */
async function confirm(details, state, trouble) {
  say(trouble, "");
  remember({ trouble: null });
  try {
    await whileBusy(details, () => payment.confirm());
    remember({ isSent: true });
    if (shown === "payment") showSent(ON_THE_WAY, state);
  } catch (error) {
    say(trouble, error.message);
  }
}

function cancelButton(state, trouble) {
  return button("Cancel the purchase", async (event) => {
    try {
      await whileBusy(event.target.form, () => cancel(state.task_id));
    } catch (error) {
      say(trouble, error.message);
    }
  });
}

function cancel(id) {
  const headers = { "X-Access-Token": session.purchaseOf(planId).accessToken, "Idempotency-Key": newKey(), Prefer: "wait=10" };
  return ask(`${API}purchase/${id}/cancel/`, { method: "POST", headers, isOwn: false });
}

/* 4. The end */

function showSuccess(state) {
  const isSubscription = state.plan_details.plan_type === "subscription";
  const title = make("h2", { tabindex: "-1" }, `${hours(state.plan_details.hours_included)} are yours`);
  const words = isSubscription
    ? "Your subscription has begun. The hours are credited for the first month; new ones come with each payment."
    : "The payment arrived and the hours are credited. You can book lessons with them right away.";
  const more = make(
    "div",
    { class: "actions" },
    make("a", { class: "button primary", href: "/account/" }, "Go to your account"),
    make("a", { class: "button", href: "/shop/" }, "See all plans"),
  );
  stageIs("success", make("section", { class: "card success" }, title, make("p", {}, words), more));
  goTo(title);
}

function showEnd(state) {
  const titles = { cancelled: "The purchase was cancelled", expired: "The purchase was not paid in time", refunded: "The purchase was refunded" };
  const title = make("h2", { tabindex: "-1" }, titles[state.status] ?? "The purchase did not succeed");
  const again = make("div", { class: "actions" }, button("Start again", restart, { class: "primary" }), make("a", { class: "button", href: "/shop/" }, "See all plans"));
  const words = state.status === "failed" ? state.message : "Nothing more happens with it.";
  stageIs("end", make("section", { class: "card" }, title, make("p", {}, words), again));
  goTo(title);
}

function restart() {
  session.forgetPurchase(planId);
  showForm().elements.name.focus();
}

async function loadPlan() {
  const plans = await ask(`${API}pricing-plans/`, { isOwn: false });
  plan = plans.find(({ id }) => id === planId) ?? null;
  if (!plan) throw new Refusal(404, { message: "This plan is not for sale any more. Please choose another one." });
  showOrder();
}

/** A bank sends the buyer back here; it says itself whether it approved. */
function comeBack(outcome) {
  if (!outcome || !session.purchaseOf(planId)) return;
  const isSent = outcome === "succeeded";
  remember({ isSent, trouble: isSent ? null : "Your bank did not approve the payment. Please try again or choose another card." });
}

async function start() {
  session.takeHandedToken();
  comeBack(session.takeWayBack().outcome);
  const purchase = session.purchaseOf(planId);
  if (purchase) follow(purchase);
  try {
    await loadPlan();
  } catch (error) {
    if (!purchase) {
      stageIs("nothing");
      return say(problem, error.message);
    }
  }
  if (purchase) return;
  const details = showForm();
  if (session.wishOf(planId)?.isSent) submit(details, initiate, problem);
}

// A page that the browser kept as it was left is busy with what is over.
addEventListener("pageshow", (event) => event.persisted && location.reload());

start();
