/* How many hours there are, from which packages, and until when. */

import { API, ask } from "./api.js";
import { fact, make } from "./make.js";
import { hours, lastDay, number } from "./words.js";

const SOON = 7; // days

function lot(row) {
  const { plan_name: name, hours_included: all, hours_remaining: left, expires_at: expires, days_until_expiry: days } = row;
  const isSoon = !row.is_expired && days !== null && days <= SOON && Number(left) > 0;
  const until = expires ? `${row.is_expired ? "Expired after" : "Use by"} ${lastDay(expires)}` : "Does not expire";
  const words = isSoon ? `${until}, ${days === 0 ? "today is the last day" : days === 1 ? "1 day left" : `${days} days left`}` : until;
  return make(
    "li",
    {},
    make("div", { class: "row" }, make("strong", {}, name), make("span", {}, `${number(left)} of ${hours(all)} left`)),
    make("progress", { max: all, value: left, "aria-label": `Hours left of ${name}` }),
    make("p", { class: isSoon ? "soon" : "quiet" }, words),
  );
}

const lots = (rows) => make("ul", { class: "lots" }, ...rows.map(lot));

export async function showBalance(body) {
  const found = await ask(`${API}student-balance/`);
  const { balance_summary: sums, package_status: packages } = found;
  const parts = [
    ["Bought", sums.hours_purchased, true],
    ["Used", sums.hours_consumed, true],
    ["Reserved", sums.hours_held],
    ["Expired", sums.hours_expired],
    ["Refunded", sums.hours_refunded],
    ["Frozen", sums.hours_frozen],
  ].filter(([, amount, isAlways]) => isAlways || Number(amount) !== 0);
  const big = make("p", { class: "big" }, make("strong", { id: "remaining" }, number(sums.remaining_hours)), Number(sums.remaining_hours) === 1 ? " hour left" : " hours left");
  const active = packages.active_packages;
  body.replaceChildren(
    make("div", { class: "split" },
      make("div", {}, big, make("dl", { class: "facts" }, ...parts.map(([name, amount]) => fact(name, hours(amount))))),
      make("div", {}, active.length ? lots(active) : make("p", { class: "quiet" }, "No hours at the moment: buy a package, and they are here."), old(packages.expired_packages)),
    ),
  );
}

function old(rows) {
  return rows.length > 0 && make("details", {}, make("summary", {}, `Expired packages (${rows.length})`), lots(rows));
}
