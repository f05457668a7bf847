/* The one place that knows the script which takes payments: Stripe's own, or the sandbox's, which has the same surface. */

let loading = null;

function loaded() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.body.dataset.paymentScript;
    script.onload = () => resolve(window.Stripe);
    script.onerror = () => {
      loading = null;
      script.remove();
      reject(new Error("The payment form could not be loaded. Please try again."));
    };
    document.head.append(script);
  });
  return loading;
}

/**
 * Puts the form of a payment, or of saving a card, into `where`. Its `confirm()` gives the intent, or throws what the
 * buyer is to read; where a bank asks first, the buyer leaves the page and comes back to this address.
 */
export async function openPayment(where, publicKey, clientSecret) {
  const Stripe = await loaded();
  const stripe = Stripe(publicKey);
  const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe";
  const elements = stripe.elements({ clientSecret, appearance: { theme } });
  const element = elements.create("payment");
  element.mount(where);
  const isSetup = clientSecret.startsWith("seti_");
  return {
    close: () => element.unmount(),
    async confirm() {
      const options = { elements, confirmParams: { return_url: location.origin + location.pathname }, redirect: "if_required" };
      const answer = await (isSetup ? stripe.confirmSetup(options) : stripe.confirmPayment(options));
      if (answer.error) throw new Error(answer.error.message);
      return answer.setupIntent ?? answer.paymentIntent;
    },
  };
}

/** What a bank's page left behind. Throws what its owner is to read where the card was not saved. */
export async function savedCard(publicKey, clientSecret) {
  const Stripe = await loaded();
  const { error, setupIntent } = await Stripe(publicKey).retrieveSetupIntent(clientSecret);
  if (error) throw new Error(error.message);
  if (setupIntent.status !== "succeeded") throw new Error("Your bank did not approve it; the card was not saved.");
  return setupIntent.payment_method;
}
