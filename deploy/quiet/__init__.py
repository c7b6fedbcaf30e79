"""What the quiet VM of `loadgen isolate` runs beside its web server: a game server and a UDP echo."""
