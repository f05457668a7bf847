"""Objects at Stripe whose order of events matters: marked by events, asked for by one worker, applied as they are."""
