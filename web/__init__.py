"""The door: HTTP in, rows out. It validates, enqueues and reads; it never calls Stripe and moves no state."""
