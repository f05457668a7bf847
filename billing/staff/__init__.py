"""What staff ask for: accepted with a reason, done by a worker, kept for ever."""
