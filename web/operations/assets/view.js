// The numbers of now: tiles and tables, written anew with each answer.

import { attention } from "./attention.js";
import { element } from "./charts.js";
import { ago, count, lasting, many, moment, named } from "./words.js";

const part = (id) => document.getElementById(id);
const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

export function show(health) {
  showAttention(health);
  showGlance(health);
  for (const [id, write] of Object.entries(TABLES)) part(id).replaceChildren(write(health));
}

function showAttention(health) {
  const found = attention(health);
  const lines = found.map(({ level, text }) => element("li", level, text));
  const old = [...part("attention").children].map((line) => line.textContent).join("\n");
  const now = lines.map((line) => line.textContent).join("\n") || ALL_IS_WELL;
  if (now !== old) part("attention").replaceChildren(...(lines.length ? lines : [element("li", "good", ALL_IS_WELL)]));
}

const ALL_IS_WELL = "Nothing. Everything works.";

function showGlance({ purchases, events, work, workers, stripe, audit, tonight }) {
  const { p50, p95 } = events.lag_seconds;
  const dead = sum(work.map((kind) => kind.dead_letters));
  const tiles = [
    ["Purchases", count(sum(Object.values(purchases))), `last day, ${count(purchases.completed)} completed`],
    ["Stripe's events", count(sum(events.by_outcome.map((kind) => kind.last_hour))), "last hour"],
    ["Webhook lag", p50 === null ? "–" : lasting(p50), p95 === null ? "no event" : `median; p95 ${lasting(p95)}`],
    ["Open work", count(sum(work.map((kind) => kind.open ?? 0))), `${count(sum(work.map((kind) => kind.in_hand ?? 0)))} in hand`],
    ["Dead letters", count(dead), dead ? "wait for a person" : "none"],
    ["Workers", count(workers.length), workers.length ? "seen" : "none seen"],
    ["Calls to Stripe", brakeWord(stripe), stripe === null ? "Valkey is away" : `${percent(stripe.failing_share)} fail`],
    ["Ledger rules", audit === null ? "–" : count(audit.violations), audit === null ? "never proven" : "broken"],
    ["Expires tonight", `${tonight.hours} h`, `${many(tonight.lots, "package")}, ${many(tonight.students, "student")}`],
  ];
  part("glance").replaceChildren(
    ...tiles.map(([name, value, more]) => element("div", "", element("dt", "", name), element("dd", "", value, element("small", "", more)))),
  );
}

const brakeWord = (stripe) => (stripe === null ? "unknown" : stripe.is_paused ? "paused" : stripe.rate_share < 1 ? "slowed" : "normal");
const percent = (share) => `${Math.round(share * 100)} %`;

// A table of rows; the first cell of each names it, and a number stands at the right.
function table(caption, heads, rows) {
  if (!rows.length) return element("p", "quiet", "Nothing.");
  const first = rows[0];
  const titles = heads.map((name, index) => {
    const head = element("th", isNumber(first[index]) ? "number" : "", name);
    head.scope = "col";
    return head;
  });
  const body = rows.map((cells) => element("tr", "", ...cells.map(cell)));
  const made = element("table", "", element("thead", "", element("tr", "", ...titles)), element("tbody", "", ...body));
  made.setAttribute("aria-label", caption);
  return made;
}

const isNumber = (value) => typeof value === "number" || (value?.classList?.contains("number") ?? false);

function cell(value, index) {
  if (index === 0) {
    const name = element("th", "", value);
    name.scope = "row";
    return name;
  }
  const shown = typeof value === "number" ? count(value) : (value ?? "–");
  return element("td", isNumber(value) ? "number" : "", shown);
}

// A number with a word of judgement: colour is never all that tells.
const figure = (text, level = "") => element("span", `number ${level}`, text);
const facts = (caption, rows) => table(caption, ["What", "How it is"], rows);

const TABLES = {
  work: ({ work }) =>
    table(
      "Open work by kind",
      ["Kind", "Open", "In hand", "Oldest overdue", "Dead letters"],
      work.map((kind) => [
        named(kind.kind),
        kind.open === null ? figure("–") : kind.open,
        kind.in_hand === null ? figure("–") : kind.in_hand,
        figure(kind.overdue_seconds > 1 ? lasting(kind.overdue_seconds) : "–", kind.overdue_seconds > 60 ? "bad" : ""),
        figure(count(kind.dead_letters), kind.dead_letters ? "bad" : ""),
      ]),
    ),
  schedule: ({ schedule }) =>
    table(
      "Scheduled jobs",
      ["Job", "Every", "Last run", "Next due"],
      schedule.map((job) => [
        named(job.name),
        lasting(job.every_seconds),
        job.last_at === null ? "never" : element("span", job.is_late ? "bad" : "", ago(job.last_at), job.is_late ? " · late" : null),
        moment(job.next_at),
      ]),
    ),
  events: ({ events }) =>
    table(
      "Events by state and outcome",
      ["State", "Outcome", "Last hour", "Last day"],
      events.by_outcome.map((kind) => [
        element("span", kind.state === "dead" ? "bad" : "", kind.state),
        kind.outcome?.replaceAll("_", " ") ?? "–",
        kind.last_hour,
        kind.last_day,
      ]),
    ),
  purchases: ({ purchases }) =>
    table("Purchases by state", ["State", "Accepted in the last day"], Object.entries(purchases)),
  stripe: ({ stripe }) =>
    stripe === null
      ? element("p", "warm", "Valkey is away: each worker brakes by itself, and nobody knows how all of them do.")
      : facts("Calls to Stripe", [
          ["Breaker", stripe.is_paused ? element("span", "bad", `paused for ${lasting(stripe.paused_seconds)}: ${stripe.reason}`) : element("span", "good", "closed: calls go out")],
          ["Calls, last 20 s", count(stripe.recent_calls)],
          ["Failed of these", percent(stripe.failing_share)],
          ["Rate", `${count(Math.round(stripe.calls_per_second))} a second, ${percent(stripe.rate_share)} of the full one`],
          ["Waited for a place", lanes(stripe.waits)],
          ["Put off", lanes(stripe.put_off)],
        ]),
  workers: ({ workers }) =>
    table("Workers", ["Worker", "Last heard of"], workers.map((worker) => [worker.name, heard(worker.seen_seconds)])),
  proofs: ({ audit, reconciliation: { read_up_to, succeeded_at, open_findings, events_by_list } }) =>
    facts("Ledger and reconciliation", [
      ["Last audit", audit === null ? "never" : `${ago(audit.at)}: ${many(audit.students, "student")}`],
      ["Broken rules", audit === null ? "–" : element("span", audit.violations ? "bad" : "good", count(audit.violations))],
      ["Stripe's events were read up to", read_up_to && ago(read_up_to)],
      ["Events last asked for", succeeded_at.events && ago(succeeded_at.events)],
      ["Ledgers last compared", succeeded_at.ledger && ago(succeeded_at.ledger)],
      ["Events that no webhook brought, last day", count(events_by_list)],
    ].concat(Object.entries(open_findings).map(([kind, number]) => [`Open: ${named(kind)}`, element("span", "bad", count(number))]))),
  people: ({ cases, disputes, tonight }) =>
    facts("For people to look at", [
      ...Object.entries(cases).map(([reason, number]) => [`Cases: ${named(reason)}`, element("span", "warm", count(number))]),
      ["Open disputes", count(disputes.open)],
      ["Evidence due within three days", element("span", disputes.due_soon ? "bad" : "", count(disputes.due_soon))],
      ["Next evidence due", disputes.next_due_at && moment(disputes.next_due_at)],
      ["Next nightly sweep", moment(tonight.at)],
      ["It would write off", `${tonight.hours} h of ${many(tonight.lots, "package")}`],
    ]),
};

const heard = (seconds) => (seconds === null ? "it is there" : element("span", seconds > 15 ? "warm" : "", `${lasting(Math.max(seconds, 1))} ago`));
const lanes = (numbers) => Object.entries(numbers).filter(([, number]) => number).map(([lane, number]) => `${lane} ${count(number)}`).join(", ") || "none";
