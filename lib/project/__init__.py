"""Where a project's state is; git; fingerprints of files.

It may import `format` and the layers below.
"""
