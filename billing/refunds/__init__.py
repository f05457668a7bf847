"""Money that goes back: quoted, its minutes held, sent to Stripe by a worker, and what becomes of it."""
