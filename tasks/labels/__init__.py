"""Labels in use and coming in, the desk of the scribble page and its pictures."""
