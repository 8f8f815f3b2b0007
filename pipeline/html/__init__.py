"""What every HTML page that we write shares: the page shell, the style sheet, elements that escape their text."""
