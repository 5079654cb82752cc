"""Networks by reference, one picture through any of them, bringing published ones in, timing them."""
