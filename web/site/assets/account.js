/* The account of who is signed in: one section for each matter, each with its own trouble. */

import { ask } from "./api.js";
import { showCards } from "./cards.js";
import { field, form } from "./form.js";
import { button, find, goTo, make, say } from "./make.js";
import { showBalance } from "./balance.js";
import { showHistory, showLedger, showReceipts } from "./records.js";
import * as session from "./session.js";
import { showSubscription } from "./subscription.js";
import { showTopUp } from "./topup.js";

const stage = find("stage");
const problem = find("problem");
const back = session.takeWayBack();

const SECTIONS = [
  ["balance", "Hours", showBalance, "whole"],
  ["topup", "Quick top-up", showTopUp],
  ["cards", "Cards", showCards],
  ["subscription", "Subscription", showSubscription],
  ["receipts", "Receipts", showReceipts],
  ["history", "Purchases", showHistory],
  ["ledger", "Movements of hours", showLedger],
];

function section([id, title, show, size]) {
  const body = make("div", { class: "body" });
  const node = make("section", { id, class: `card ${size ?? ""}`, "aria-labelledby": `${id}-title`, "aria-busy": "true" });
  node.append(make("h2", { id: `${id}-title` }, title), body);
  const draw = async () => {
    try {
      await show(body, account);
    } catch (error) {
      if (error.status === 401) return leave("Your sign-in has ended. Please sign in again.");
      body.replaceChildren(make("p", { class: "alert", role: "alert" }, error.message), button("Try again", draw));
    } finally {
      node.removeAttribute("aria-busy");
    }
  };
  return { id, node, draw };
}

/** What sections may do with the others: show them anew, and say what was done where everybody hears it. */
const account = {
  sections: [],
  back,
  refresh: (...ids) => Promise.all(account.sections.filter(({ id }) => ids.includes(id)).map(({ draw }) => draw())),
  async said(words, ...ids) {
    await account.refresh(...ids);
    say(find("said"), words);
    goTo(find("said"));
  },
};

async function showAccount() {
  const { name, email, sub } = session.claims() ?? {};
  const signOut = button("Sign out", () => leave("You are signed out."), { class: "quiet" });
  find("who").replaceChildren(`Signed in as ${name ? `${name}, ${email ?? sub}` : (email ?? sub)}. `, signOut);
  account.sections = SECTIONS.map(section);
  stage.className = "sections";
  stage.replaceChildren(...account.sections.map(({ node }) => node));
  const [first, ...others] = account.sections;
  await first.draw(); // the first look also brings what guests have bought for this address
  await Promise.all(others.map(({ draw }) => draw()));
}

function leave(words) {
  if (stage.className !== "sections") return;
  session.signOut();
  stage.className = "";
  find("who").replaceChildren();
  say(find("said"), "");
  showSignIn();
  say(problem, words);
}

function showSignIn() {
  const words = "Open your account from the tutoring platform, which signs you in.";
  if (document.body.dataset.maySignIn === undefined) return stage.replaceChildren(make("p", { class: "card" }, words));
  const fields = [
    field("E-mail", { name: "email", type: "email", autocomplete: "email", required: true }),
    field("Name", { name: "name", autocomplete: "name", hint: "(optional)" }),
    field("User id", { name: "user_id", autocomplete: "off", hint: "(optional, as in billing token --sub)" }),
  ];
  const node = form(fields, "Sign in", signIn, problem);
  const about = make("p", { class: "quiet" }, "For development only: whoever you say you are is believed.");
  stage.replaceChildren(make("section", { class: "card narrow" }, make("h2", {}, "Sign in"), about, node));
}

async function signIn(given) {
  const body = Object.fromEntries(Object.entries(given).filter(([, value]) => value));
  const { token } = await ask("/account/sign-in/", { method: "POST", body, isOwn: false });
  session.signIn(token);
  await showAccount();
  goTo(find("title"));
}

session.takeHandedToken();
if (session.token()) showAccount();
else showSignIn();
