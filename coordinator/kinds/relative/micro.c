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

#include "micro_timing.h"

static int null_fd, zero_fd, file_fd;
static char small[4096];
static char *block;

#include "micro_pairs.h"

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
