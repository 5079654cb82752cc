"""`capmat paper`: tables, statements, page."""
