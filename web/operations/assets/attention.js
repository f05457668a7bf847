// What a person should look at: each rule gives a sentence, or nothing. The alerts of deploy/alerts.yml ring for the same.

import { ago, lasting, many, named } from "./words.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;

export function attention(health) {
  const now = Date.parse(health.at);
  const since = (at) => (now - Date.parse(at)) / 1000;
  return [
    ...ofStripe(health),
    ...ofWork(health),
    ...ofSchedule(health, since),
    ...ofLedger(health, since),
    ...ofPeople(health, since),
  ];
}

const bad = (text) => ({ level: "bad", text });
const warm = (text) => ({ level: "warm", text });

function ofStripe({ stripe, events }) {
  if (stripe === null) return [warm("Valkey is away: work goes on, but by the sweepers alone, and nobody counts all calls to Stripe.")];
  const found = [];
  if (stripe.is_paused) found.push(bad(`Nothing is sent to Stripe since ${lasting(stripe.paused_seconds)}: ${stripe.reason}.`));
  else if (stripe.failing_share >= 0.2 && stripe.recent_calls >= 5) found.push(warm("Stripe fails more than every fifth call."));
  if (events.lag_seconds.p95 > 30) found.push(warm(`Events take up to ${lasting(events.lag_seconds.p95)} to be worked.`));
  return found;
}

function ofWork({ work, workers }) {
  const found = workers.length ? [] : [bad("No worker is seen: nothing is worked.")];
  for (const kind of work) {
    if (kind.dead_letters) found.push(bad(`${named(kind.kind)}: ${many(kind.dead_letters, "row")} gave up: somebody has to see to it.`));
    if (kind.overdue_seconds > MINUTE) found.push(bad(`${named(kind.kind)}: the oldest is overdue by ${lasting(kind.overdue_seconds)}.`));
  }
  for (const worker of workers) {
    if (worker.seen_seconds > 15) found.push(warm(`${worker.name} was not heard of for ${lasting(worker.seen_seconds)}.`));
  }
  return found;
}

function ofSchedule({ schedule }) {
  if (schedule.every((job) => job.last_at === null)) return [warm("No scheduled job ever ran: beat, or the worker of maintenance, is not there.")];
  return schedule.filter((job) => job.is_late).map((job) => bad(`${named(job.name)} is late: it ran last ${ago(job.last_at)}.`));
}

function ofLedger({ audit, reconciliation }, since) {
  const found = [];
  if (audit?.violations) found.push(bad(`The last audit found ${many(audit.violations, "broken rule")} in the ledger.`));
  if (audit && since(audit.at) > HOUR) found.push(warm(`The ledger was last proven ${ago(audit.at)}.`));
  const read = reconciliation.succeeded_at.events;
  if (read && since(read) > 10 * MINUTE) found.push(warm(`Stripe's events were last read ${ago(read)}.`));
  const differences = Object.values(reconciliation.open_findings).reduce((sum, one) => sum + one, 0);
  if (differences) found.push(bad(`Open: ${many(differences, "difference")} from Stripe.`));
  return found;
}

function ofPeople({ cases, disputes }) {
  const open = Object.values(cases).reduce((sum, one) => sum + one, 0);
  const found = open ? [warm(`Open: ${many(open, "case")} for a person to look at.`)] : [];
  if (disputes.due_soon) found.push(bad(`Evidence due within three days: ${many(disputes.due_soon, "dispute")}.`));
  return found;
}
