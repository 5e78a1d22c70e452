"""Retention, export and import, migration, trust.

It may import `telling` and the layers below.
"""
