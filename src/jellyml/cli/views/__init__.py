"""What commands print: pictures, code, tensors, catalogs, and the page of ``log --html``."""
