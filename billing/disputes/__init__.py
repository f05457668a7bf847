"""Disputes: what Stripe says of them, and what that does to hours and money."""
