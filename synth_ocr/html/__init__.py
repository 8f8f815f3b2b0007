"""Pages of HTML, rendered by a headless browser."""
