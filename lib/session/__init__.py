"""The fold: records become a session's state; which session continues which.

It may import `stores` and the layers below.
"""
