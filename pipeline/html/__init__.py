"""What every HTML page that we write shares: page shell, style sheet, elements that escape their text, charts, pictures."""
