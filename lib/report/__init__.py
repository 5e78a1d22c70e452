"""The report, an HTML file: `history` gathers its data, `page` puts them into the page."""
