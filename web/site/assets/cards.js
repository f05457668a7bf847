/* Saved cards: another one, the one that pays, and one less. */

import { API, act, ask } from "./api.js";
import { button, confirmed, goTo, make, say, whileBusy } from "./make.js";
import { openPayment, savedCard } from "./payment.js";

const CHANGED = ["cards", "topup", "subscription"];

export const cardName = ({ brand, last4 }) => `${brand.charAt(0).toUpperCase()}${brand.slice(1)} ending in ${last4}`;

export async function showCards(body, account) {
  if (account.back.setup) await finishSetup(account);
  const { payment_methods: cards } = await ask(`${API}payment-methods/`);
  const trouble = make("p", { class: "alert", role: "alert", hidden: true });
  const place = make("div", {});
  const list = make("ul", { class: "rows" }, ...cards.map((card) => row(card, trouble, account)));
  const none = make("p", { class: "quiet" }, "No card is saved. With one you can top up with a single click.");
  const add = button("Add a card", (event) => openSetup(event.target, place, trouble, account));
  body.replaceChildren(cards.length ? list : none, trouble, place, make("div", { class: "actions" }, add));
}

function row(card, trouble, account) {
  const name = cardName(card);
  const expiry = `${card.is_expired ? "expired" : "until"} ${String(card.exp_month).padStart(2, "0")}/${card.exp_year}`;
  const changed = (what, words) => async (event) => {
    say(trouble, "");
    try {
      if (await whileBusy(event.target, what)) await account.said(words, ...CHANGED);
    } catch (error) {
      say(trouble, error.message);
    }
  };
  const prefer = changed(() => act(`payment-methods/${card.id}/set-default/`), `${name} is the default card now.`);
  const remove = changed(
    async () => (await confirmed(`Remove ${name}?`, "Nothing is charged to it any more.", "Remove the card")) && act(`payment-methods/${card.id}/`, {}, "DELETE"),
    `${name} was removed.`,
  );
  const actions = make("div", { class: "actions" });
  if (!card.is_default && !card.is_expired) actions.append(button("Make default", prefer, { "aria-label": `Make ${name} the default card` }));
  actions.append(button("Remove", remove, { "aria-label": `Remove ${name}` }));
  const words = make("div", {}, make("strong", {}, name), card.is_default && make("span", { class: "badge" }, "Default"), make("p", { class: card.is_expired ? "soon" : "quiet" }, expiry));
  return make("li", {}, words, actions);
}

async function openSetup(opener, place, trouble, account) {
  say(trouble, "");
  try {
    await whileBusy(opener, async () => {
      const setup = await act("payment-methods/");
      const key = setup.publishable_key ?? (await ask(`${API}stripe/config/`)).public_key;
      await showSetup(place, key, setup.client_secret, opener, account);
    });
  } catch (error) {
    say(trouble, error.message);
  }
}

async function showSetup(place, publicKey, clientSecret, opener, account) {
  const where = make("div", { class: "element" });
  const title = make("h3", { tabindex: "-1" }, "A new card");
  const trouble = make("p", { class: "alert", role: "alert", hidden: true });
  const close = () => (setup.close(), place.replaceChildren(), (opener.hidden = false), opener.focus());
  const actions = make("div", { class: "actions" }, make("button", { class: "primary" }, "Save the card"), button("Not now", close));
  const node = make("form", { novalidate: true }, title, where, trouble, actions);
  place.replaceChildren(node);
  const setup = await openPayment(where, publicKey, clientSecret);
  opener.hidden = true;
  goTo(title);
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (node.getAttribute("aria-busy") === "true") return;
    say(trouble, "");
    try {
      await whileBusy(node, async () => keep((await setup.confirm()).payment_method));
      await account.said("The card was saved.", ...CHANGED);
    } catch (error) {
      say(trouble, error.message);
    }
  });
}

/** Stripe saved it; the door then makes it the default one where it is the first. */
const keep = (id) => act("payment-methods/", { payment_method_id: id });

/** The owner was at a bank's page meanwhile. */
async function finishSetup(account) {
  const secret = account.back.setup;
  account.back.setup = null;
  const { public_key: publicKey } = await ask(`${API}stripe/config/`);
  await keep(await savedCard(publicKey, secret));
}
