"""The page with pictures, the same on paper, and the index of several studies."""
