"""Output for people: colours, width, progress, the status line, `watch`.

It may import `telling` and the layers below.
"""
