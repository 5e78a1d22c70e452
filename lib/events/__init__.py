"""What the larger hooks do: a start, a stop.

It may import every package but `commands`.
"""
