/* The API as any front end asks it. Tokens travel in headers only. */

import { signOut, token } from "./session.js";

export const API = "/api/finances/api/";
const PATIENCE = 20; // seconds that an act is waited for in one request
const LOST = "The service could not be reached. Please try again.";

/** An answer that is none of success, in the door's own words. */
export class Refusal extends Error {
  constructor(status, { error_type: type = "", message = LOST, field_errors: fields = {} } = {}) {
    super(message);
    Object.assign(this, { name: "Refusal", status, type, fields });
  }
}

export const newKey = () => crypto.randomUUID();

async function send(path, { method = "GET", body, headers = {}, isOwn = true } = {}) {
  const sent = { ...headers };
  if (isOwn && token()) sent.Authorization = `Bearer ${token()}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method, headers: sent, body: body && JSON.stringify(body), credentials: "omit" });
  } catch {
    throw new Refusal(0);
  }
}

/** Raises Refusal. A token that is refused is forgotten. */
export async function ask(path, options = {}) {
  const answer = await send(path, options);
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  if (answer.status === 401 && options.isOwn !== false) signOut();
  throw new Refusal(answer.status, content);
}

/** Something is to be changed; returns what came of it, however long it takes. Raises Refusal. */
export async function act(path, body = {}, method = "POST") {
  const headers = { "Idempotency-Key": newKey(), Prefer: `wait=${PATIENCE}` };
  const content = await ask(API + path, { method, body: method === "DELETE" ? undefined : body, headers });
  return content.status_url ? decided(content.status_url) : content;
}

async function decided(statusUrl) {
  for (;;) {
    const found = await ask(statusUrl);
    if (found.status === "refused") throw new Refusal(409, found);
    if (found.status === "done") return found;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** A file that only its owner may have is fetched with the token, and then handed to the browser. */
export async function download(path, name) {
  const answer = await send(path);
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  const address = URL.createObjectURL(await answer.blob());
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
