"""What both web frameworks store with: a connection for each thread, a commit for each request, synced as the gateway's."""

import os
import sqlite3
import threading
import time

local = threading.local()


def connection():
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(os.environ["DATABASE"], timeout=60, isolation_level=None)
        local.connection.execute("PRAGMA journal_mode = WAL")
        local.connection.execute("PRAGMA synchronous = FULL")
        local.connection.execute(
            "CREATE TABLE IF NOT EXISTS readings (id INTEGER PRIMARY KEY, sensor_id TEXT, value REAL, ts REAL)"
        )
    return local.connection


def store(body):
    """Stores a reading, or an array of them, in one transaction."""
    readings = body if isinstance(body, list) else [body]
    database = connection()
    database.execute("BEGIN IMMEDIATE")
    database.executemany(
        "INSERT INTO readings (sensor_id, value, ts) VALUES (?, ?, ?)",
        [(str(one["sensor_id"]), float(one["value"]), time.time()) for one in readings],
    )
    database.execute("COMMIT")
    return len(readings)


connection()
