"""Pages of HTML rendered by a headless browser, verified against a rendering without their text."""
