/* A purchase's steps: those that were taken, with their time, and those that are still expected. */

import { API, ask } from "./api.js";
import { make, say } from "./make.js";
import { follow } from "./stream.js";
import { STEPS, clock, inWords } from "./words.js";

const EXPECTED = ["accepted", "intent_created", "paid", "credited"];
const BAD = ["payment_failed", "cancelled", "expired", "disputed", "dispute_lost", "refund_failed"];
const OVER = ["cancelled", "expired", "refunded"];
const LOOK = 700; // milliseconds

const isCredited = (purchase) => purchase.timeline.some(({ step }) => step === "credited");

/** Paid, and the hours are there; or ended otherwise; or failed with nothing that could still be paid. */
export const isOver = (purchase) =>
  OVER.includes(purchase.status) ||
  (purchase.status === "completed" && isCredited(purchase)) ||
  (purchase.status === "failed" && !purchase.payment_intent_id);

function row(step, at, state) {
  const words = make("span", { class: "step" }, inWords(STEPS, step));
  const time = at && make("time", { datetime: at }, clock(at));
  return make("li", { class: state, "aria-current": state === "next" && "step" }, words, time);
}

export function drawTimeline(list, purchase) {
  const taken = purchase.timeline.map(({ step, at }) => row(step, at, BAD.includes(step) ? "bad" : "done"));
  const steps = new Set(purchase.timeline.map(({ step }) => step));
  const open = isOver(purchase) ? [] : EXPECTED.filter((step) => !steps.has(step));
  const expected = open.map((step, place) => row(step, null, place === 0 ? "next" : "later"));
  list.replaceChildren(...taken, ...expected);
}

/** Draws each state into `{list, message, link}` and hands it on; false where the purchase is not known here. */
export function followInto({ list, message, link }, { id, accessToken }, onstate, signal = undefined) {
  let last = null;
  const ontold = (purchase) => {
    last = purchase;
    drawTimeline(list, purchase);
    say(message, purchase.message);
    onstate(purchase);
  };
  let lostAt = 0; // a line that is taken up again at once is not worth a word
  const onlink = (isThere) => {
    clearTimeout(lostAt);
    if (isThere) say(link, "");
    else lostAt = setTimeout(() => say(link, "The connection was lost; it is being taken up again…"), 1000);
  };
  const path = `${API}purchase/${id}/`;
  const told = follow(`${path}events/`, accessToken, ontold, onlink, signal).finally(() => (clearTimeout(lostAt), say(link, "")));
  return told.then((isKnown) => (last?.status === "completed" ? untilCredited(path, accessToken, last, ontold) : isKnown));
}

/** The events end with the payment; the hours of a subscription come with its invoice, a little later. */
async function untilCredited(path, accessToken, last, ontold) {
  for (let purchase = last; !isCredited(purchase); ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
    const found = await ask(path, { headers: { "X-Access-Token": accessToken }, isOwn: false }).catch(() => purchase);
    if (found.timeline.length > purchase.timeline.length) ontold(found);
    purchase = found;
  }
  return true;
}
