"""Stripe's events: accepted at the door, worked in batches, each with an outcome."""
