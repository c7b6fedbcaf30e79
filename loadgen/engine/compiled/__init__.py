"""The compiled engine: the same behaviour as `loadgen.engine.player`, in C on epoll, for a fraction of its cost."""
