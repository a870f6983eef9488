"""Commands that need no images. Nothing is imported here: each command fetches what it needs."""
