"""Charts of the pages: geometry in Python, drawn as SVG by the templates, so that they follow the page's colours."""
