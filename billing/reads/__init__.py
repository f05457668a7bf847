"""Read-only answers for the door's GET routes: one statement each, as frozen views."""
