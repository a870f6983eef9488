"""One study's life: from its files to its folder of results, and again when a reader corrects it."""
