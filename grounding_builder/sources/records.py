"""A record of an annotation file, as its authors wrote it: the JSON edge of all sources."""

from typing import Any

Record = dict[str, Any]
