"""The report: `gather` makes its data from the journals, `page` the HTML file."""
