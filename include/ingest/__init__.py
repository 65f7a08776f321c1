"""From a partner's file to rows in `landing`."""

import os

# A file is judged in parts, and the parts beside each other; more threads within one only wait for each other (measured
# in docs/adr/0006-the-pace-of-a-delivery.md). Read by polars when it is imported, which is later.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
