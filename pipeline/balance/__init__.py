"""Rules that balance what duplicates have left, as pure functions of columns: caps, best shares, weighted samples."""
