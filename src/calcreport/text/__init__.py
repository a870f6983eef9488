"""The report in words: one module a section, every length through one presenter."""
