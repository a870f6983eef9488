"""Key images and overviews, with everything that was measured drawn on them."""
