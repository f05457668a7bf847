/* Elements of a page. Words come in as text only, never as markup. */

export const find = (id) => document.getElementById(id);

/** `attributes` are set as they are named; what is true stands alone, what is false or absent stays away; `on…` listens. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const button = (words, onclick, attributes = {}) => make("button", { type: "button", onclick, ...attributes }, words);

export function fact(name, value, attributes = {}) {
  return make("div", attributes, make("dt", {}, name), make("dd", {}, value));
}

/** Shown where there is something to say; a live region announces what changes in it. */
export function say(node, words) {
  if (node.textContent !== (words ?? "")) node.textContent = words ?? "";
  node.hidden = !words;
}

/** A heading that was just put there is where a reader goes on. */
export function goTo(node) {
  node.focus({ preventScroll: true });
  node.scrollIntoView({ block: "nearest" });
}

/** For as long as it lasts the form cannot be used twice. */
export async function whileBusy(node, work) {
  const controls = [...node.querySelectorAll("button, input, select"), ...(node.matches("button") ? [node] : [])];
  const usable = controls.filter((control) => !control.disabled);
  const focused = document.activeElement;
  node.setAttribute("aria-busy", "true");
  for (const control of usable) control.disabled = true;
  try {
    return await work();
  } finally {
    node.removeAttribute("aria-busy");
    for (const control of usable) control.disabled = false;
    if (document.activeElement === document.body && usable.includes(focused)) focused.focus();
  }
}

/** A question before something that cannot be taken back; false where the dialog was left. */
export function confirmed(question, explanation, yes) {
  const { promise, resolve } = deferred();
  const close = (answer) => () => dialog.close(answer);
  const dialog = make(
    "dialog",
    { class: "card", "aria-labelledby": "question", onclose: () => (resolve(dialog.returnValue === "yes"), dialog.remove()) },
    make("h2", { id: "question" }, question),
    make("p", {}, explanation),
    make("div", { class: "actions" }, button(yes, close("yes"), { class: "danger" }), button("Keep it as it is", close("no"))),
  );
  document.body.append(dialog);
  dialog.showModal();
  return promise;
}

function deferred() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
