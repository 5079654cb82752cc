"""Views, voxels, hull, hull check, radiance field."""
