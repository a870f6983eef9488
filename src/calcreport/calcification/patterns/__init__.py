"""The pattern a lesion shows, from named features of its shape, texture and surroundings."""
