"""The text for Claude.

It may import `state` and the layers below.
"""
