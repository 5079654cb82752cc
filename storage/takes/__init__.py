"""Takes and stages in the store: pictures, mattes, plates, crops to train on."""
