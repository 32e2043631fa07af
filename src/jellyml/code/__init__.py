"""Code as git objects: captured, packed into bytes, checked when it is a stranger's."""
