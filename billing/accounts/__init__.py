"""What owners of accounts ask for: cards, and what is to become of a subscription."""
