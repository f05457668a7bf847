"""The contract in a form that programs read: one operation for each route, and a page that shows it."""
