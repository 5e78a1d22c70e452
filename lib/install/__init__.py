"""Registering the hooks, and the doctor.

It may import `telling` and the layers below.
"""
