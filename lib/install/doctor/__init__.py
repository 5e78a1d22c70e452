"""What `doctor` checks: each check is a function that returns one finding, and how to fix it."""
