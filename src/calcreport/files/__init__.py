"""Text a person typed, or an earlier run wrote, becomes checked types."""
