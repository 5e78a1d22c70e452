"""Which parts of a text are secrets: loaded when a word or a sign in it may name one."""
