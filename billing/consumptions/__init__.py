"""Hours for sessions: taken, held, captured, released, given back, as the platform asks."""
