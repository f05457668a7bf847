/* Numbers, dates and states, as people read them. */

const zone = document.body.dataset.zone;
const EUROS = new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: zone });
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: zone });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: zone });

export const euros = (amount) => EUROS.format(Number(amount));
export const day = (instant) => DAY.format(new Date(instant));
export const moment = (instant) => MOMENT.format(new Date(instant));
export const clock = (instant) => CLOCK.format(new Date(instant));

/** "10.00" are 10 hours, "1.50" are 1.5. */
export const number = (hours) => String(Number(hours));
export const hours = (amount) => `${number(amount)} ${Number(amount) === 1 ? "hour" : "hours"}`;
export const signed = (amount) => `${Number(amount) > 0 ? "+" : "−"}${number(Math.abs(Number(amount)))} h`;

/** An expiry is the first instant that is too late: what people want to know is the last day. */
export const lastDay = (expiresAt) => day(new Date(expiresAt).getTime() - 1);

export function validity(plan) {
  if (plan.plan_type === "subscription") return "new hours every month";
  return plan.validity_days === 1 ? "valid for 1 day" : `valid for ${plan.validity_days} days`;
}

export const price = (plan) => euros(plan.price_eur) + (plan.plan_type === "subscription" ? " a month" : "");

export const STEPS = {
  accepted: "Purchase accepted",
  intent_created: "Payment prepared",
  action_required: "Your bank asks for your approval",
  payment_processing: "Payment is being processed",
  payment_failed: "Payment did not succeed",
  paid: "Payment received",
  credited: "Hours credited",
  cancelled: "Purchase cancelled",
  expired: "Not paid in time",
  refunded: "Money given back",
  refund_failed: "Money could not be given back",
  disputed: "Payment disputed",
  dispute_won: "Dispute decided for the seller",
  dispute_lost: "Dispute decided for the buyer",
};

export const STATES = {
  queued: "being prepared",
  pending: "not paid yet",
  processing: "being processed",
  completed: "paid",
  failed: "failed",
  cancelled: "cancelled",
  expired: "expired",
  refunded: "refunded",
};

export const KINDS = {
  credit: "Credited",
  consume: "Lesson",
  hold: "Reserved",
  release: "Returned",
  expire: "Expired",
  restore: "Given back",
  refund: "Refunded",
  freeze: "Frozen",
  thaw: "Free again",
  transfer: "Transferred",
  correct: "Corrected",
};

export const SUBSCRIPTION_STATES = {
  incomplete: "waits for its first payment",
  incomplete_expired: "was never paid",
  trialing: "on trial",
  active: "active",
  past_due: "payment is due",
  unpaid: "unpaid",
  paused: "paused",
  canceled: "ended",
};

export const inWords = (table, word) => table[word] ?? word.replaceAll("_", " ");
