"""The store itself: keys and bytes in a folder or on S3, who writes, ledger and seals, versions, arrays of frames and their shards."""
