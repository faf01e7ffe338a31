"""The demo: the whole path on drawn or real faces."""
