"""Tables of the jobs' database, and how those of an older version become them."""

from __future__ import annotations

SCHEMA = 2
"""Version of the tables, raised with every change of them."""

TABLES = (
    """
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT,
        options TEXT NOT NULL,
        state TEXT NOT NULL,
        made_s REAL NOT NULL,
        changed_s REAL NOT NULL,
        keep_s REAL NOT NULL,
        expires_s REAL,
        ask_key TEXT,
        ask_digest TEXT
    )
    """,
    """
    CREATE TABLE files (
        job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        claimed_s REAL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        embeddings INTEGER NOT NULL,
        held_bytes INTEGER NOT NULL,
        starts INTEGER NOT NULL DEFAULT 0,
        retryable INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (job, number)
    ) WITHOUT ROWID
    """,
)
"""Tables of the version `SCHEMA`. `expires_s` is of the `ServiceClock`, `made_s` and `changed_s` are unix seconds."""

INDEXES = (
    "CREATE INDEX jobs_by_state ON jobs (state)",
    "CREATE INDEX jobs_by_expiry ON jobs (expires_s)",
    "CREATE INDEX files_by_state ON files (state, job, number)",
    "CREATE INDEX jobs_by_owner ON jobs (owner, seq)",
    # Rows without an owner would all be different to an index of the column itself.
    "CREATE UNIQUE INDEX jobs_by_key ON jobs (owner IS NULL, IFNULL(owner, ''), ask_key) WHERE ask_key IS NOT NULL",
    "CREATE INDEX suspects ON files (job, number) WHERE attempts > 0",
    "CREATE TABLE clock (service_s REAL NOT NULL, boot TEXT NOT NULL, boot_s REAL NOT NULL)",
)
"""Indexes, and the table with the one row of the `ServiceClock`."""

FROM_1 = (
    "ALTER TABLE jobs ADD COLUMN ask_key TEXT",
    "ALTER TABLE jobs ADD COLUMN ask_digest TEXT",
    "ALTER TABLE files ADD COLUMN starts INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE files ADD COLUMN retryable INTEGER NOT NULL DEFAULT 0",
    # Attempts were counted whatever had come of them.
    "UPDATE files SET attempts = 0",
    # Times of expiry were unix seconds, by a clock that may have been wrong: each job has its full time again.
    "UPDATE jobs SET expires_s = keep_s WHERE expires_s IS NOT NULL",
    *INDEXES[3:],
)
"""Statements that make the tables of version 1 those of version 2. The `ServiceClock` begins at 0."""
