/* Stands in for Stripe.js where there is no network: what a checkout page uses of it, against the sandbox. */
(() => {
  "use strict";

  // The sandbox serves this file, so the file's own address says where the API is.
  const API = new URL("../v1/", document.currentScript.src).href;
  const CHOICES = [
    ["pm_card_visa", "card", "Card that pays", "4242 4242 4242 4242"],
    ["pm_card_chargeDeclined", "card", "Card that is declined", "4000 0000 0000 0002"],
    ["pm_card_chargeDeclinedInsufficientFunds", "card", "Card with insufficient funds", "4000 0000 0000 9995"],
    ["pm_card_threeDSecure2Required", "card", "Card that asks for 3-D Secure", "4000 0000 0000 3220"],
    ["pm_success_de", "sepa_debit", "Bank debit that succeeds later", "DE89 3704 0044 0532 0130 00"],
    ["pm_failed_de", "sepa_debit", "Bank debit that fails later", "DE62 3704 0044 0532 0130 01"],
  ].map(([method, type, label, number]) => ({ method, type, label, number }));
  const LOST = { type: "api_connection_error", message: "The payment could not be sent. Please try again." };
  const UNREADABLE = { type: "api_error", message: "Something went wrong. Please try again." };
  const INCOMPLETE = { type: "validation_error", code: "incomplete", message: "Please choose a payment method." };

  // color-scheme is inherited: the form is as light or dark as the page, unless appearance.theme says otherwise.
  const STYLE = `
    :host { display: block; font: var(--stripe-fontSizeBase, 16px)/1.4 var(--stripe-fontFamily, system-ui, sans-serif);
      --accent: var(--stripe-colorPrimary, light-dark(#4338ca, #a5b4fc));
      color: var(--stripe-colorText, light-dark(#1a1f36, #e8eaf0)) }
    fieldset, p { margin: 0; padding: .75em 1em; border: 1px solid light-dark(#6b7280, #8b93a5);
      border-radius: var(--stripe-borderRadius, 6px);
      background: var(--stripe-colorBackground, light-dark(#fff, #1d2230)) }
    legend { float: left; width: 100%; padding: 0 0 .25em; font-weight: 600 }
    label { display: grid; grid-template-columns: auto 1fr; gap: 0 .75em; clear: both; padding: .5em .25em;
      border-radius: 4px }
    label:has(:focus-visible) { outline: 2px solid var(--accent) }
    input { outline: none; width: 1.15em; height: 1.15em; margin: .1em 0; accent-color: var(--accent) }
    small { grid-column: 2; font-size: .85em; opacity: .85 }
    [role="alert"] { color: var(--stripe-colorDanger, light-dark(#b3122f, #ff9aa8)) }`;

  class IntegrationError extends Error {
    name = "IntegrationError";
  }

  /** A mistake of the page, not of the buyer. */
  function demand(holds, sentence) {
    if (!holds) throw new IntegrationError(sentence);
  }

  function idIn(clientSecret) {
    const [id] = /^(pi|seti)_[^_]+(?=_secret_.)/.exec(clientSecret) ?? [];
    demand(id, "clientSecret should be the client secret of an intent, pi_…_secret_… or seti_…_secret_….");
    return id;
  }

  const isSetup = (clientSecret) => idIn(clientSecret).startsWith("seti_");

  /** `{a: {b: 1}}` becomes `a[b]=1`, as the API reads its forms. */
  function encoded(fields, prefix = "", form = new URLSearchParams()) {
    for (const [name, value] of Object.entries(fields)) {
      const path = prefix ? `${prefix}[${name}]` : name;
      if (Object(value) === value) encoded(value, path, form);
      else if (value !== undefined && value !== null) form.append(path, value);
    }
    return form;
  }

  /** Never throws: a line that breaks is an `error` in the answer too. */
  async function ask(key, clientSecret, rest, options) {
    const [group, name] = isSetup(clientSecret) ? ["setup_intents", "setupIntent"] : ["payment_intents", "paymentIntent"];
    const headers = { Authorization: `Bearer ${key}` };
    try {
      const response = await fetch(`${API}${group}/${idIn(clientSecret)}${rest}`, { headers, credentials: "omit", ...options });
      const answer = await response.json();
      return response.ok ? { [name]: answer } : { error: answer.error ?? UNREADABLE };
    } catch (problem) {
      return { error: problem instanceof SyntaxError ? UNREADABLE : LOST };
    }
  }

  function retrieve(key, clientSecret) {
    return ask(key, clientSecret, `?${encoded({ client_secret: clientSecret })}`);
  }

  /** While there is no intent its currency is unknown: all are offered, and the API refuses what does not fit. */
  async function offered(key, clientSecret) {
    if (!clientSecret) return { types: ["card", "sepa_debit"] };
    const { error, paymentIntent, setupIntent } = await retrieve(key, clientSecret);
    return { error, types: (paymentIntent ?? setupIntent)?.payment_method_types };
  }

  function make(tag, properties, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  /** A shadow tree keeps the page's style out, and the choice out of the page's own forms, as Stripe's frame does. */
  function makeHost({ theme, variables = {} }) {
    const host = document.createElement("div");
    if (theme) host.style.colorScheme = theme === "night" ? "dark" : "light";
    for (const [name, value] of Object.entries(variables)) host.style.setProperty(`--stripe-${name}`, value);
    const sheet = new CSSStyleSheet(); // a page's content security policy may forbid <style>
    sheet.replaceSync(STYLE);
    host.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
    return host;
  }

  function makeRow({ method, label, number }, onchange) {
    const input = make("input", { type: "radio", name: "method", value: method, onchange });
    return make("label", {}, input, make("span", { textContent: label }), make("small", { textContent: number }));
  }

  class PaymentElement {
    chosen = null;
    destroy = this.unmount;
    #host = null;
    #listeners = [];

    constructor(settings, offered) {
      Object.assign(this, { settings, offered });
    }

    mount(where) {
      const target = typeof where === "string" ? document.querySelector(where) : where;
      demand(target instanceof Element, `There is no ${where} on the page to mount the element in.`);
      this.unmount();
      this.#host = makeHost(this.settings.appearance ?? {});
      target.replaceChildren(this.#host);
      this.#fill(this.#host, this.#host.shadowRoot);
    }

    unmount() {
      this.#host?.remove();
      this.#host = this.chosen = null;
    }

    focus() {
      this.#host?.shadowRoot.querySelector("input")?.focus();
    }

    on(event, listener) {
      this.#listeners.push({ event, listener });
      return this;
    }

    off(event, listener) {
      this.#listeners = this.#listeners.filter((one) => one.event !== event || (listener && one.listener !== listener));
      return this;
    }

    async #fill(host, root) {
      const say = (role, textContent) => root.replaceChildren(make("p", { role, textContent }));
      say("status", "Loading the test payment methods…");
      const { error, types } = await this.offered();
      if (host !== this.#host) return; // unmounted or mounted anew in the meantime
      if (error) {
        say("alert", error.message);
        return this.#tell("loaderror", { error });
      }
      const choices = CHOICES.filter(({ type }) => types.includes(type));
      const rows = choices.map((choice) => makeRow(choice, () => this.#choose(choice)));
      const legend = make("legend", { textContent: "Test payment: no money moves" });
      root.replaceChildren(make("fieldset", {}, legend, ...rows));
      this.#tell("ready");
      this.#choose(null);
    }

    #choose(choice) {
      this.chosen = choice;
      const value = { type: choice?.type ?? "card" };
      this.#tell("change", { complete: choice !== null, empty: choice === null, collapsed: false, value });
    }

    #tell(event, facts = {}) {
      const listeners = this.#listeners.filter((one) => one.event === event);
      for (const { listener } of listeners) listener({ elementType: "payment", ...facts });
    }
  }

  function makeElements(key, settings) {
    let payment = null;
    if (settings.clientSecret) idIn(settings.clientSecret);
    return {
      settings,
      create(kind) {
        demand(kind === "payment", `The sandbox has the payment element, and no ${kind}.`);
        demand(!payment, "There is a payment element already: getElement() gives it.");
        return (payment = new PaymentElement(settings, () => offered(key, settings.clientSecret)));
      },
      getElement: (kind) => (kind === "payment" ? payment : null),
      submit: async () => (payment?.chosen ? { selectedPaymentMethod: payment.chosen.type } : { error: INCOMPLETE }),
    };
  }

  /** The page is about to go: like Stripe's, the promise stays open, so that nothing of the page runs on. */
  function leaveFor(address) {
    location.assign(address);
    return new Promise(() => {});
  }

  function wayBack(address, { id, object, client_secret }) {
    const url = new URL(address);
    const facts = { [object]: id, [`${object}_client_secret`]: client_secret, redirect_status: "succeeded" };
    for (const [name, value] of Object.entries(facts)) url.searchParams.set(name, value);
    return url.href;
  }

  /** A payment, or a setup: what is confirmed is the intent whose secret it is. */
  async function confirm(key, { elements, clientSecret, confirmParams = {}, redirect = "always" }) {
    const { return_url: back, payment_method_data: _, ...params } = confirmParams; // a test method is complete
    demand(back || redirect === "if_required", "confirmParams.return_url is missing; redirect is not if_required.");
    demand(!back || /^https?:/.test(back), "confirmParams.return_url should be an absolute address.");
    const { error: unready } = (await elements?.submit()) ?? {};
    if (unready) return { error: unready };
    const secret = clientSecret ?? elements?.settings.clientSecret;
    // Stripe shows a bank over the page, the sandbox in its place: the buyer comes back to the page at least.
    const fields = { ...params, return_url: back ?? location.href, client_secret: secret };
    if (elements) fields.payment_method = elements.getElement("payment").chosen.method;
    const sent = await ask(key, secret, "/confirm", { method: "POST", body: encoded(fields) });
    const intent = sent.paymentIntent ?? sent.setupIntent;
    const next = intent?.next_action?.redirect_to_url;
    if (next) return leaveFor(next.url);
    return sent.error || redirect === "if_required" ? sent : leaveFor(wayBack(back, intent));
  }

  /** With an id, with an element of the page, or with the method that the intent has already. */
  function confirmCard(key, clientSecret, { payment_method: method, return_url } = {}) {
    const chosen = method?.card?.chosen?.method ?? method;
    if (Object(chosen) === chosen) return Promise.resolve({ error: INCOMPLETE });
    return confirm(key, { clientSecret, confirmParams: { return_url, payment_method: chosen }, redirect: "if_required" });
  }

  /** A bank asks again, with the way back to this page. */
  async function handleNextAction(key, { clientSecret }) {
    const asked = await retrieve(key, clientSecret);
    const waits = (asked.paymentIntent ?? asked.setupIntent)?.status === "requires_action";
    return waits ? confirmCard(key, clientSecret) : asked;
  }

  window.Stripe = (key) => {
    demand(/^pk_/.test(key), "Stripe() takes a publishable key, pk_…, and never a secret one.");
    return {
      elements: (settings = {}) => makeElements(key, settings),
      confirmPayment: (options) => confirm(key, options),
      confirmSetup: (options) => confirm(key, options),
      confirmCardPayment: async (clientSecret, data) => confirmCard(key, clientSecret, data),
      confirmCardSetup: async (clientSecret, data) => confirmCard(key, clientSecret, data),
      handleNextAction: (options) => handleNextAction(key, options),
      retrievePaymentIntent: async (clientSecret) => retrieve(key, clientSecret),
      retrieveSetupIntent: async (clientSecret) => retrieve(key, clientSecret),
    };
  };
})();
