"""What a tool hook loads: an event becomes a record in the journal.

It may import `disk`.
"""
