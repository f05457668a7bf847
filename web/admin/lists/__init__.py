"""Lists of rows and the page of each one: read, searched, filtered and exported, never edited."""
