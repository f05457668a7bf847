"""Receipts: numbered without gaps, frozen, printed once."""
