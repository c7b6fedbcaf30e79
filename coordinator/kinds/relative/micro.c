/* Latencies and bandwidths of the kernel, with the rows of lmbench's tables.  A program of loadgen's own: its figures
 * compare environments of one machine, and are not lmbench's. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define ROUND_NS 20e6
#define SOCKETS 100
#define FILE_BYTES (8 << 20)
#define MB 1e6

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The time of one call of `once` in ns: the median of some rounds, each with as many calls as fill it. */
static double cost_ns(void (*once)(void))
{
    double found[ROUNDS];
    long calls = 1;
    for (;;) {
        double began = now_ns(), took;
        for (long i = 0; i < calls; i++)
            once();
        took = now_ns() - began;
        if (took > ROUND_NS / 4) {
            calls = calls * ROUND_NS / took + 1;
            break;
        }
        calls *= 2;
    }
    for (int round = 0; round < ROUNDS; round++) {
        double began = now_ns();
        for (long i = 0; i < calls; i++)
            once();
        found[round] = (now_ns() - began) / calls;
    }
    qsort(found, ROUNDS, sizeof *found, by_size);
    return found[ROUNDS / 2];
}

static void latency(const char *name, void (*once)(void))
{
    printf("%s = %.4f us\n", name, cost_ns(once) / 1e3);
    fflush(stdout);
}

static void bandwidth(const char *name, void (*once)(void), double bytes)
{
    printf("%s = %.1f MB/s\n", name, bytes / MB / (cost_ns(once) / 1e9));
    fflush(stdout);
}

static int null_fd, zero_fd, file_fd;
static char small[4096];
static char *block;

static void null_call(void) { syscall(SYS_getppid); }

static void null_io(void)
{
    need(read(zero_fd, small, 1) == 1 && write(null_fd, small, 1) == 1, "null I/O");
}

static void stat_file(void)
{
    struct stat found;
    need(stat("micro.data", &found) == 0, "stat");
}

static void open_close(void)
{
    int fd = open("micro.data", O_RDONLY);
    need(fd >= 0 && close(fd) == 0, "open");
}

static int highest;
static fd_set watched;

static void select_all(void)
{
    fd_set set = watched;
    struct timeval none = {0, 0};
    need(select(highest + 1, &set, NULL, NULL, &none) >= 0, "select");
}

static void nothing(int number) { (void)number; }

static void signal_install(void)
{
    struct sigaction action = {.sa_handler = nothing};
    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
}

static void signal_handle(void) { need(raise(SIGUSR1) == 0, "raise"); }

static void wait_for(pid_t pid)
{
    int status;
    need(pid > 0, "fork");
    need(waitpid(pid, &status, 0) == pid && status == 0, "child");
}

static void fork_exit(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    wait_for(pid);
}

static void fork_exec(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    wait_for(pid);
}

static void fork_shell(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", ":", (char *)NULL);
        _exit(1);
    }
    wait_for(pid);
}

static void map_file(void)
{
    volatile char *at = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, file_fd, 0);
    need(at != MAP_FAILED, "mmap");
    for (long i = 0; i < FILE_BYTES; i += 16384)
        (void)at[i];
    munmap((void *)at, FILE_BYTES);
}

#define FAULT_PAGES 256

static void fault_pages(void)
{
    char *at = mmap(NULL, FAULT_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(at != MAP_FAILED, "mmap");
    madvise(at, FAULT_PAGES * 4096, MADV_NOHUGEPAGE);
    for (long i = 0; i < FAULT_PAGES; i++)
        at[i * 4096] = 1;
    munmap(at, FAULT_PAGES * 4096);
}

static sigjmp_buf back;
static char *guarded;

static void jump(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static void protection_fault(void)
{
    if (!sigsetjmp(back, 1))
        *(volatile char *)guarded = 1;
}

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

static void file_reread(void)
{
    ssize_t n;
    need(lseek(file_fd, 0, SEEK_SET) == 0, "lseek");
    while ((n = read(file_fd, block, CHUNK)) > 0)
        ;
    need(n == 0, "read");
}

static volatile long sum;

static void map_reread(void)
{
    long total = 0;
    long *at = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, file_fd, 0);
    need(at != MAP_FAILED, "mmap");
    for (long i = 0; i < FILE_BYTES / (long)sizeof *at; i++)
        total += at[i];
    sum = total;
    munmap(at, FILE_BYTES);
}

static void copy_memory(void) { memcpy(block, block + FILE_BYTES, FILE_BYTES); }

static void pair_of(int pair[2], int kind)
{
    if (kind)
        tcp_pair(pair);
    else
        need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
}

int main(void)
{
    int one[2], other[2];
    pid_t pid;
    struct sigaction on_fault = {.sa_handler = jump, .sa_flags = SA_NODEFER};

    signal(SIGPIPE, SIG_IGN);
    null_fd = open("/dev/null", O_WRONLY);
    zero_fd = open("/dev/zero", O_RDONLY);
    file_fd = open("micro.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    need(null_fd >= 0 && zero_fd >= 0 && file_fd >= 0, "open");
    for (long i = 0; i < FILE_BYTES; i += sizeof small)
        need(write(file_fd, small, sizeof small) == sizeof small, "write");

    latency("null call", null_call);
    latency("null I/O", null_io);
    latency("stat", stat_file);
    latency("open and close", open_close);
    for (int i = 0; i < SOCKETS; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        need(fd >= 0, "socket");
        FD_SET(fd, &watched);
        highest = fd;
    }
    latency("select on 100 sockets", select_all);
    for (int fd = 3; fd <= highest; fd++)
        if (FD_ISSET(fd, &watched))
            close(fd);
    latency("signal install", signal_install);
    latency("signal handle", signal_handle);
    latency("fork and exit", fork_exit);
    latency("fork and exec", fork_exec);
    latency("fork and sh", fork_shell);
    block = malloc(2 * FILE_BYTES); /* now, because a fork copies the page tables of all memory */
    ring_memory = calloc(1, 1 << 20);
    need(block && ring_memory, "malloc");
    memset(block, 1, 2 * FILE_BYTES);
    latency("mmap of 8 MB", map_file);
    printf("page fault = %.4f us\n", cost_ns(fault_pages) / 1e3 / FAULT_PAGES);
    guarded = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(guarded != MAP_FAILED && sigaction(SIGSEGV, &on_fault, NULL) == 0, "mmap");
    latency("protection fault", protection_fault);
    context_switch("switch 2p/0K", 2, 0);
    context_switch("switch 8p/16K", 8, 16 << 10);
    context_switch("switch 16p/64K", 16, 64 << 10);

    need(pipe(one) == 0 && pipe(other) == 0, "pipe");
    pid = echo_over(one[0], other[1], other[0], one[1]);
    latency("pipe there and back", ping);
    end_child(pid);
    for (int kind = 0; kind < 2; kind++) {
        pair_of(one, kind);
        pid = echo_over(one[1], one[1], one[0], one[0]);
        latency(kind ? "TCP there and back" : "AF_UNIX there and back", ping);
        end_child(pid);
    }

    need(pipe(one) == 0, "pipe");
    pid = drain_over(one[0], one[1]);
    bandwidth("pipe", stream, STREAM);
    end_child(pid);
    for (int kind = 0; kind < 2; kind++) {
        pair_of(one, kind);
        pid = drain_over(one[1], one[0]);
        bandwidth(kind ? "TCP" : "AF_UNIX", stream, STREAM);
        end_child(pid);
    }
    bandwidth("file reread", file_reread, FILE_BYTES);
    bandwidth("mmap reread", map_reread, FILE_BYTES);
    bandwidth("memory copy", copy_memory, FILE_BYTES);
    return 0;
}
