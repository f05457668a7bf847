/* Forms whose complaints stand beside their fields. */

import { goTo, make, say, whileBusy } from "./make.js";

/** A field with its label and a place for its complaint; `path` is how the door calls it. */
export function field(label, { path, hint, ...attributes }) {
  const id = `field-${attributes.name}`;
  const input = make("input", { id, "aria-describedby": `${id}-complaint`, "data-path": path ?? attributes.name, ...attributes });
  const words = make("label", { for: id }, label, hint && make("span", { class: "quiet" }, ` ${hint}`));
  return make("div", { class: "field" }, words, input, make("p", { id: `${id}-complaint`, class: "complaint", hidden: true }));
}

export function form(fields, words, send, problem) {
  const node = make("form", { novalidate: true }, ...fields, make("button", { class: "primary" }, words));
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    if (node.getAttribute("aria-busy") !== "true") submit(node, send, problem);
  });
  return node;
}

/** Also what a page calls to send a form again that was sent before a reload. */
export async function submit(node, send, problem) {
  const given = Object.fromEntries(new FormData(node)); // before its fields are disabled, which would empty it
  complain(node, {});
  say(problem, "");
  try {
    await whileBusy(node, () => send(given));
  } catch (error) {
    if (!complain(node, error.fields ?? {})) {
      say(problem, error.message);
      problem.scrollIntoView({ block: "nearest" });
    }
  }
}

/** Puts each complaint beside its field, and the reader into the first one; false where none of them is of this form. */
function complain(node, complaints) {
  let first = null;
  for (const input of node.querySelectorAll("input[data-path]")) {
    const words = complaints[input.dataset.path]?.join(", ");
    if (words) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    say(node.querySelector(`#${input.id}-complaint`), words && sentence(input, words));
    if (words) first ??= input;
  }
  if (first) goTo(first);
  return first !== null;
}

const sentence = (input, words) => `${input.labels[0].firstChild.textContent} ${words}.`;
