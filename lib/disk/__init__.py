"""One way to write, lock, quarantine and clean up files.

It may import `errors`.
"""
