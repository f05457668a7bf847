"""How the service does: for staff as JSON and as a page that keeps itself up to date, and for Prometheus."""
