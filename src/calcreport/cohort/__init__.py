"""Thousands of studies: found once, analysed one by one, resumed where a run was ended, and put into tables."""
