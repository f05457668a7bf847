"""Measurements against limits, each beside what it is measured by, on data made for it."""
