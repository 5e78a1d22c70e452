"""The Redis store: the SQLite store of this machine, and its exchange with other machines."""
