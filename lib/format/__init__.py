"""docs/format.md in code: records, documents, tables of files, types.

It may import `recording`, `disk` and `errors`.
"""
