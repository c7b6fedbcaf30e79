"""The compiled engine: the behaviour of `loadgen.engine.player`, in C on epoll, for less CPU per request."""
