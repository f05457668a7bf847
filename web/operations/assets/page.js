// The page: whose token it asks with, when it asks, and what it says where nobody answers.

import { Chart } from "./charts.js";
import { show } from "./view.js";
import { count, lasting } from "./words.js";

// Below the address of the admin, so that whoever has signed in there needs no token here.
const SYSTEM = "/admin/system/";
const TOKEN = "billing.token";
const EVERY = 5_000;
const HISTORY_EVERY = 30_000;
const LONGEST_WAIT = 60_000;
const PATIENCE = 10_000;
const OLD_AFTER = 20_000;

const part = (id) => document.getElementById(id);
const hours = (number) => count(Math.round(number * 10) / 10);
const charts = [
  new Chart({ title: "Purchases", kind: "lines", isSummed: true, written: count, of: [
    { name: "accepted", key: "accepted" }, { name: "completed", key: "completed" }, { name: "failed", key: "failed" },
  ] }),
  new Chart({ title: "Stripe's events", kind: "bars", isSummed: true, written: count, of: [{ name: "events", key: "events" }] }),
  new Chart({ title: "Hours credited", kind: "bars", isSummed: true, written: hours, of: [{ name: "hours", key: "credited_hours" }] }),
  new Chart({ title: "Webhook lag, p95", kind: "lines", isSummed: false, written: lasting, of: [{ name: "p95", key: "lag_p95_seconds" }] }),
];

class Refused extends Error {}

let timer = 0;
let failures = 0;
let isAsking = false;
let answeredAt = 0;
let historyAt = 0;

// A token in the address is kept for this tab alone, and taken out of the address before anybody sees it there.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return;
  sessionStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname + location.search);
}

async function ask(name, token) {
  const headers = { Accept: "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(`${SYSTEM}${name}/`, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (answer.status === 401 || answer.status === 403) throw new Refused((await answer.json()).message);
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

async function update() {
  const token = sessionStorage.getItem(TOKEN);
  if (isAsking) return;
  isAsking = true;
  try {
    await refresh(token);
    failures = 0;
    say("Up to date.");
    plan(EVERY);
  } catch (error) {
    if (error instanceof Refused) return signIn(token === null ? "Sign in to see the numbers." : error.message);
    failures += 1;
    const wait = Math.min(LONGEST_WAIT, 1_000 * 2 ** failures) * (0.8 + 0.4 * Math.random());
    say(`The service does not answer. It is asked again in ${lasting(Math.round(wait / 1000))}.`, "away");
    plan(wait);
  } finally {
    isAsking = false;
  }
}

async function refresh(token) {
  const isHistoryDue = Date.now() - historyAt >= HISTORY_EVERY;
  // Curves that do not come this time do not keep the numbers of now away.
  const curves = isHistoryDue ? ask("history", token).catch(() => null) : null;
  const [health, past] = await Promise.all([ask("health", token), curves]);
  answeredAt = Date.now();
  part("sign-in").hidden = true;
  part("numbers").hidden = false;
  show(health);
  if (past !== null) {
    historyAt = answeredAt;
    const quarters = past.quarters.map((quarter) => ({ ...quarter, credited_hours: quarter.credited_minutes / 60 }));
    for (const chart of charts) chart.show(quarters);
  }
  tell();
}

function plan(wait) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(update, wait);
}

// Said by screen readers, so only what is new.
function say(text, level = "") {
  const state = part("state");
  state.className = level;
  if (state.textContent !== text) state.textContent = text;
}

function tell() {
  const age = Date.now() - answeredAt;
  const isOld = answeredAt > 0 && age > OLD_AFTER;
  part("numbers").classList.toggle("old", isOld);
  part("age").className = isOld ? "old" : "";
  if (answeredAt > 0) part("age").textContent = isOld ? `These numbers are ${lasting(age / 1000)} old.` : `${lasting(Math.max(1, Math.round(age / 1000)))} ago`;
}

function signIn(why) {
  clearTimeout(timer);
  sessionStorage.removeItem(TOKEN);
  answeredAt = historyAt = 0;
  part("age").textContent = "";
  part("numbers").hidden = true;
  part("sign-in").hidden = false;
  say(why);
}

part("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, part("token").value.trim());
  part("token").value = "";
  update();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : update()));
window.addEventListener("online", update);
window.addEventListener("hashchange", () => {
  takeToken();
  update();
});
setInterval(tell, 1_000);
part("charts").append(...charts.map((chart) => chart.node));
takeToken();
update();
