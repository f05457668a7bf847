/* What was bought, every movement of hours, and receipts, page by page. */

import { API, ask, download } from "./api.js";
import { button, goTo, make, say, whileBusy } from "./make.js";
import { KINDS, STATES, euros, inWords, moment, day, number, signed } from "./words.js";

const SIZE = 5;

async function showPage(body, path, row, none, isMove = false) {
  const page = await ask(path);
  if (page.count === 0) return body.replaceChildren(make("p", { class: "quiet" }, none));
  const list = make("ul", { class: "rows", tabindex: "-1" }, ...page.results.map(row));
  body.replaceChildren(list, pager(body, page, path, row, none));
  if (isMove) goTo(list);
}

function pager(body, page, path, row, none) {
  const pages = Math.ceil(page.count / SIZE);
  if (pages < 2) return "";
  const at = Number(new URL(path, location).searchParams.get("page") ?? 1);
  const turn = (to) => (event) => whileBusy(event.target, () => showPage(body, to, row, none, true));
  return make(
    "div",
    { class: "pager" },
    button("Newer", turn(page.previous), { disabled: !page.previous }),
    make("span", {}, `Page ${at} of ${pages}`),
    button("Older", turn(page.next), { disabled: !page.next }),
  );
}

const line = (title, below, beside, under) =>
  make("li", {}, make("div", {}, make("strong", {}, title), make("p", { class: "quiet" }, below)), make("div", { class: "end" }, make("strong", {}, beside), under));

function bought(row) {
  const back = Number(row.refunded_eur) > 0 ? `, ${euros(row.refunded_eur)} given back` : "";
  const state = make("span", { class: `badge ${row.payment_status}` }, inWords(STATES, row.payment_status));
  return line(row.plan_name, moment(row.paid_at ?? row.created_at) + back, euros(row.amount), state);
}

function moved(row) {
  const after = make("p", { class: "quiet" }, `${number(row.balance_after)} h after`);
  return line(inWords(KINDS, row.kind), moment(row.at), signed(row.hours), after);
}

function receipt(row) {
  const trouble = make("p", { class: "complaint", role: "alert", hidden: true });
  const fetch = async (event) => {
    say(trouble, "");
    try {
      await whileBusy(event.target, () => download(row.download_url, `${row.receipt_number}.pdf`));
    } catch (error) {
      say(trouble, error.message);
    }
  };
  const label = `Download receipt ${row.receipt_number}`;
  return line(row.receipt_number, `${day(row.issued_at)}, ${euros(row.amount)}`, button("Download", fetch, { "aria-label": label }), trouble);
}

export const showHistory = (body) =>
  showPage(body, `${API}student-balance/history/?page_size=${SIZE}`, bought, "Nothing was bought yet.");
export const showLedger = (body) =>
  showPage(body, `${API}student-balance/ledger/?page_size=${SIZE}`, moved, "No hours have moved yet.");
export const showReceipts = (body) =>
  showPage(body, `${API}student-balance/receipts/?page_size=${SIZE}`, receipt, "There are no receipts yet; each comes a moment after its payment.");
