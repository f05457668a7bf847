"""Writing off what expired: found, previewed, swept, undone."""
