"""Tables over many studies: one row a study, one row a lesion."""
