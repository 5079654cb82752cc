"""How results are shown: contact sheets, SVG charts, HTML frame, numbers and units in words, Prefect artifacts."""
