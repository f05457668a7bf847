"""Stripe is the truth about money, so it is asked: what we did not hear of, and where we differ."""
