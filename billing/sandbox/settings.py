"""Numbers that a test may set and that outlive a restart."""

from billing.sandbox.database import Database


class Settings:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str, default: float) -> float:
        row = self._database.row("SELECT value FROM settings WHERE name = ?", name)
        return default if row is None else float(row["value"])

    def put(self, name: str, value: float) -> None:
        self._database.run("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, value)
