"""Purchases: accepted at the door, given an intent by a worker, completed by Stripe's news."""
