"""Subscriptions: begun by a purchase, paid by invoices, each paid period credited once."""
