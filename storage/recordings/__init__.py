"""What one camera recorded: files, raw, video, SMC behind one protocol."""
