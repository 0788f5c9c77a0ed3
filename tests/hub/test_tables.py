"""The database of a data directory that an earlier version of the Hub has made."""

import sqlite3

from utils.hub.hub import Hub


def shape(path) -> tuple[set[str], set[str]]:
    """The names of the columns of `repos`, and of all indexes."""
    with sqlite3.connect(path) as db:
        columns = {row[1] for row in db.execute("PRAGMA table_info(repos)")}
        indexes = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    db.close()
    return columns, indexes


def test_columns_and_indexes_that_came_later_are_added(tmp_path):
    database = tmp_path / "hub.db"
    Hub(tmp_path).close()
    columns, indexes = shape(database)
    named = {name for name in indexes if name.startswith("ix_")}
    assert "downloads" in columns and len(named) > 5
    with sqlite3.connect(database) as db:
        for name in named:
            db.execute(f"DROP INDEX {name}")
        db.execute("ALTER TABLE repos DROP COLUMN downloads")
    db.close()
    assert shape(database) == (columns - {"downloads"}, indexes - named)
    Hub(tmp_path).close()
    assert shape(database) == (columns, indexes)


def test_a_page_of_a_listing_is_read_in_order(tmp_path):
    """SQLite follows an index and stops after a page, for every column that a repo itself has to sort by."""
    Hub(tmp_path).close()
    with sqlite3.connect(tmp_path / "hub.db") as db:
        for column in ("last_modified", "created_at", "downloads"):
            query = f"SELECT id FROM repos WHERE kind = 'model' AND NOT private ORDER BY {column} DESC, id LIMIT 100"
            plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}"))
            assert f"ix_repos_{column}" in plan
    db.close()
