"""CT series to volumes in Hounsfield units with their geometry, or a refusal that says why."""
