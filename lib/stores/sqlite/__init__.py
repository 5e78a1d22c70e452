"""The SQLite store: one database, in which a stop writes only what is new."""
