"""`capmat WORD`: each module holds options(parser) and run(config, args) of one family of words; main.py only lists them."""
