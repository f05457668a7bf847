"""Students as customers of Stripe: made once, their cards as it has them."""
