"""The HTML report.

It may import `telling` and the layers below. `gather` makes the data, `page` the file.
"""
