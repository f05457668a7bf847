"""What the owner of an account reads and asks for: cards, a subscription, and hours bought with a saved card."""
