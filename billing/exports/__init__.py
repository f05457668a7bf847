"""Lists that are too long to be sent at once: asked for, written by a worker part by part, and kept for a day."""
