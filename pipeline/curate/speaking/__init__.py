"""Stage speak: models answer questions about the rows that pass all other filters; answers become columns."""
