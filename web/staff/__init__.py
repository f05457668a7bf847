"""What staff read, and what they ask for."""
