"""Lists of rows: what they are of, how they are searched and narrowed, and how their cells are written."""
