"""The command line: `main.py`, and one file for each command.

It may import every other package.
"""
