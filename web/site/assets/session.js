/* What this tab remembers, and no longer than it is open: who is signed in, and the purchase under way. */

const TOKEN = "token";

export function read(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}

export function keep(name, value) {
  sessionStorage.setItem(name, JSON.stringify(value));
  return value;
}

export const forget = (name) => sessionStorage.removeItem(name);

export const token = () => read(TOKEN);
export const signIn = (given) => keep(TOKEN, given);
export const signOut = () => forget(TOKEN);

/** What the token says of its bearer. The door verifies it; here it only fills in forms. */
export function claims() {
  try {
    const [, payload] = token().split(".");
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

/** The platform links to a page with `#token=…`: no server and no log sees a fragment, and it leaves the address at once. */
export function takeHandedToken() {
  const handed = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!handed) return;
  signIn(handed);
  history.replaceState(null, "", location.pathname + location.search);
}

/** Stripe's script comes back with its facts in the address; they are taken out of it before anything else happens. */
export function takeWayBack() {
  const url = new URL(location.href);
  const outcome = url.searchParams.get("redirect_status");
  const names = ["payment_intent", "payment_intent_client_secret", "setup_intent", "setup_intent_client_secret"];
  const setup = url.searchParams.get("setup_intent_client_secret");
  for (const name of [...names, "redirect_status"]) url.searchParams.delete(name);
  if (outcome) history.replaceState(null, "", url);
  return { outcome, setup };
}

/** One purchase of a plan at a time: `{id, accessToken, isSent, isOver}`, and the wish that became it. */
export const purchaseOf = (planId) => read(`purchase:${planId}`);
export const keepPurchase = (planId, purchase) => keep(`purchase:${planId}`, purchase);
export const wishOf = (planId) => read(`wish:${planId}`);
export const keepWish = (planId, wish) => keep(`wish:${planId}`, wish);

export function forgetPurchase(planId) {
  forget(`purchase:${planId}`);
  forget(`wish:${planId}`);
}

/** Whoever is back at the plans wants something new. */
export function forgetFinished() {
  for (const name of Object.keys(sessionStorage)) {
    const [kind, planId] = name.split(":");
    if (kind === "purchase" && read(name)?.isOver) forgetPurchase(planId);
  }
}
