"""What the scribble page is worth: its speed, its preview, and the strokes that a better model takes."""
