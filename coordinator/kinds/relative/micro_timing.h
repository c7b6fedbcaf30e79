/* How long a call takes: part of micro.c. */
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
