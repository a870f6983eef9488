"""An earlier CT laid over the present one: rigid, the whole first, then the neighbourhood of each place asked for."""
