"""What code raises that meets content which is not what it should be: a missing key, a list in place of a number."""

import pyarrow as pa

CONTENT_ERRORS = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    pa.ArrowException,
)
