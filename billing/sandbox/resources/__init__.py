"""One module a resource: what its endpoints do, and how its object looks."""
