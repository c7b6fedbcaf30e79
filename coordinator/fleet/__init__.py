"""The load machines of a run behind one interface, however they are reached."""
