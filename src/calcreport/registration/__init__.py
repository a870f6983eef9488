"""An earlier CT registered with the present one: rigid, the whole first, then the neighbourhood of each place."""
