// Numbers, times and names as people read them.

const NAMES = {
  purchase: "Purchases", webhook_event: "Events", student_link: "Links of guests", consumption_act: "Acts on hours",
  staff_act: "Acts of staff", sweep_run: "Sweeps", notification: "Notifications", refund: "Refunds",
  stale_mark: "Questions to Stripe", receipt: "Receipts", account_act: "Acts on accounts",
  payment_watch: "Payments that are watched", export: "Exports", message: "Unreadable messages",
  "billing.ledger.audit": "Audit of the ledger", "billing.consumptions.lapse": "Lapse of holds",
  "billing.expiry.start_nightly": "Nightly sweep", "billing.expiry.start_late": "Late sweep",
  "billing.notifications.warn": "Warnings of expiry", "billing.purchases.abandon": "Abandoned purchases",
  "billing.disputes.watch": "Watch over disputes", "billing.reconciliation.read_events": "Reading of Stripe's events",
  "billing.reconciliation.compare": "Comparison with Stripe", "billing.retention.drop": "Removal of old rows",
};
const STEPS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const whole = new Intl.NumberFormat("en-GB");
const short = new Intl.DateTimeFormat("en-GB", { weekday: "short", hour: "2-digit", minute: "2-digit" });

export const named = (word) => NAMES[word] ?? word.replaceAll("_", " ");
export const count = (number) => whole.format(number);

// 4 s, 12 min, 3 h 20 min: never more than two units, and no seconds where they do not matter.
export function lasting(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  let left = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of STEPS) {
    const isNoise = unit === "s" && seconds >= 120;
    if (left >= size && parts.length < 2 && !isNoise) parts.push(`${Math.floor(left / size)} ${unit}`);
    left %= size;
  }
  return parts.join(" ");
}

export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

export const ago = (at) => `${lasting(Math.max(1, (Date.now() - Date.parse(at)) / 1000))} ago`;

export function moment(at) {
  const made = document.createElement("time");
  made.dateTime = at;
  made.title = at;
  made.textContent = short.format(new Date(at));
  return made;
}
