"""``calcreport review``: a page on this machine alone to read, accept, reject and correct a results folder."""
