"""The command line: each module holds the options and the work of one family of words; main.py lists them."""
