"""The store itself: keys and bytes in a folder or on S3, writers, ledger and seals, versions, arrays of frames."""
