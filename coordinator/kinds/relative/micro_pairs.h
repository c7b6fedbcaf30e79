/* Processes that talk to each other: part of micro.c. */
/* A child that answers each byte, until its input ends. */
static int to_child, from_child;

static pid_t echo_over(int child_in, int child_out, int parent_in, int parent_out)
{
    pid_t pid = fork();
    need(pid >= 0, "fork");
    if (pid == 0) {
        char byte;
        close(parent_out);
        if (parent_in != parent_out)
            close(parent_in);
        while (read(child_in, &byte, 1) == 1)
            if (write(child_out, &byte, 1) != 1)
                break;
        _exit(0);
    }
    close(child_in);
    if (child_out != child_in)
        close(child_out);
    from_child = parent_in;
    to_child = parent_out;
    return pid;
}

static void ping(void)
{
    char byte = 1;
    need(write(to_child, &byte, 1) == 1 && read(from_child, &byte, 1) == 1, "ping");
}

static void end_child(pid_t pid)
{
    close(to_child);
    if (from_child != to_child)
        close(from_child);
    waitpid(pid, NULL, 0);
}

/* A child that reads all that comes. */
#define CHUNK 65536
#define STREAM (1 << 20)

static pid_t drain_over(int child_in, int parent_out)
{
    pid_t pid = fork();
    need(pid >= 0, "fork");
    if (pid == 0) {
        close(parent_out);
        while (read(child_in, block, CHUNK) > 0)
            ;
        _exit(0);
    }
    close(child_in);
    to_child = from_child = parent_out;
    return pid;
}

static void stream(void)
{
    for (long sent = 0; sent < STREAM;) {
        ssize_t n = write(to_child, block, CHUNK);
        need(n > 0, "write");
        sent += n;
    }
}

static void tcp_pair(int pair[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    need(listening >= 0 && bind(listening, (struct sockaddr *)&at, size) == 0 && listen(listening, 1) == 0, "listen");
    getsockname(listening, (struct sockaddr *)&at, &size);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    need(connect(pair[0], (struct sockaddr *)&at, size) == 0, "connect");
    pair[1] = accept(listening, NULL, NULL);
    need(pair[1] >= 0, "accept");
    for (int i = 0; i < 2; i++)
        setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listening);
}

/* A ring of processes that pass a byte on; each touches `bytes` of its own memory first. */
#define MOST_RING 16

static long ring_bytes;
static char *ring_memory;

static void touch(void)
{
    for (long i = 0; i < ring_bytes; i += 64)
        ring_memory[i]++;
}

static void around(void)
{
    char byte = 1;
    touch();
    need(write(to_child, &byte, 1) == 1 && read(from_child, &byte, 1) == 1, "ring");
}

static void context_switch(const char *name, int processes, long bytes)
{
    int pipes[MOST_RING][2], self[2];
    pid_t pids[MOST_RING];
    double alone, together;
    ring_bytes = bytes;
    need(pipe(self) == 0, "pipe");
    to_child = self[1];
    from_child = self[0];
    alone = cost_ns(around); /* the work of one process: touching, and a byte through a pipe */
    close(self[0]);
    close(self[1]);
    for (int i = 0; i < processes; i++)
        need(pipe(pipes[i]) == 0, "pipe");
    for (int i = 1; i < processes; i++) {
        pids[i] = fork();
        need(pids[i] >= 0, "fork");
        if (pids[i] == 0) {
            char byte;
            for (int j = 0; j < processes; j++) {
                if (j != i - 1)
                    close(pipes[j][0]);
                if (j != i)
                    close(pipes[j][1]);
            }
            while (read(pipes[i - 1][0], &byte, 1) == 1) {
                touch();
                if (write(pipes[i][1], &byte, 1) != 1)
                    break;
            }
            _exit(0);
        }
    }
    to_child = pipes[0][1];
    from_child = pipes[processes - 1][0];
    for (int i = 0; i < processes; i++) {
        if (i != 0)
            close(pipes[i][1]);
        if (i != processes - 1)
            close(pipes[i][0]);
    }
    together = cost_ns(around) / processes - alone;
    printf("%s = %.4f us\n", name, (together > 1 ? together : 1) / 1e3);
    fflush(stdout);
    close(to_child);
    for (int i = 1; i < processes; i++)
        waitpid(pids[i], NULL, 0);
    close(from_child);
}
