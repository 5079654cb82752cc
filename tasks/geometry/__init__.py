"""What all cameras say together: subject box, hull, hull check, radiance field, its score."""
