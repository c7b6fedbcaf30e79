/* The lines of a reply's head: loadgen/engine/head.py in C. */
#define _GNU_SOURCE
#include "framing.h"

#include <string.h>

enum {
    HEAD_ROOM = MAX_HEAD_BYTES + 4, /* with the end of its last line, and the empty line */
    VERSION_BYTES = 7
};

static const char VERSION[] = "HTTP/1.";

/* White space that may separate the parts of the status line (RFC 9112, 4). */
static bool is_gap(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static bool has_bare_cr(const char *line, const char *stop)
{
    return memchr(line, '\r', (size_t)(stop - line)) != NULL;
}

/* The status in the status line from `line` to `stop`; 0 if the line is unfinished and may become right; -1 if it is
   wrong.  `finished`: its end was seen. */
static int status_of(const char *line, const char *stop, const char *end, bool finished)
{
    size_t bytes = (size_t)(end - line);
    if (memcmp(line, VERSION, bytes < VERSION_BYTES ? bytes : VERSION_BYTES) != 0)
        return -1;
    int unfinished = finished ? -1 : 0;
    if (bytes <= VERSION_BYTES)
        return unfinished;
    const char *at = line + VERSION_BYTES;
    if (!is_digit(*at++))
        return -1;
    if (at == end)
        return unfinished;
    if (!is_gap(*at))
        return -1;
    while (at < end && is_gap(*at))
        at++;
    int status = 0;
    for (int i = 0; i < 3; i++, at++) {
        if (at == end)
            return unfinished;
        if (!is_digit(*at))
            return -1;
        status = status * 10 + (*at - '0');
    }
    if (at < stop && (!is_gap(*at) || has_bare_cr(at, stop)))
        return -1;
    return finished ? status : 0;
}

bool head_is_field(const char *line, const char *stop)
{
    if (line < stop && !is_blank(*line)) {
        const char *at = line;
        while (at < stop && (unsigned char)*at > ' ' && *at != ':')
            at++;
        if (at == line)
            return false;
        while (at < stop && is_blank(*at))
            at++;
        if (at == stop || *at != ':')
            return false;
    }
    return line < stop && !has_bare_cr(line, stop);
}

int head_scan(struct reply *reply, char *at, const char *end, struct found *found)
{
    const char *near = end - at > HEAD_ROOM ? at + HEAD_ROOM : end;
    char *line = at, *before = NULL, *lf;
    *found = (struct found){0};
    while ((lf = memchr(line, '\n', (size_t)(near - line))) != NULL) {
        char *stop = (char *)line_stop(line, lf);
        if (line == at) {
            found->status = status_of(line, stop, lf, true);
            found->fields = lf + 1;
            if (found->status < 100 || found->status == 101) /* nobody asked to switch protocols */
                return reply_fail_at(reply, OUTCOME_MALFORMED, line, stop);
        } else if (stop == line) {
            found->empty = line;
            found->after = lf + 1;
            return 0;
        } else if (!head_is_field(line, stop)) {
            return reply_fail_at(reply, OUTCOME_MALFORMED, line, stop);
        } else if (is_blank(*line)) { /* the line continues the one before (RFC 9112, 5.2) */
            memset(before, ' ', (size_t)(line - before));
            found->folded = true;
            if (found->fields == line)
                found->fields = lf + 1;
        }
        before = stop;
        line = lf + 1;
    }
    const char *stop = line_stop(line, near);
    if (line == at ? status_of(line, stop, near, false) < 0 : has_bare_cr(line, stop))
        return reply_fail_at(reply, OUTCOME_MALFORMED, line, stop);
    return near - at == HEAD_ROOM ? reply_fail_at(reply, OUTCOME_HEAD_TOO_LARGE, line, stop) : 0;
}

struct text reply_wants_tls(const char *data, size_t bytes)
{
    const char *https = memmem(data, bytes, "HTTPS", 5), *enabled = memmem(data, bytes, "SSL-enabled", 11);
    const char *at = https > enabled ? https : enabled, *end = data + bytes, *line = at;
    if (at == NULL)
        return (struct text){NULL, 0};
    while (line > data && line[-1] != '\n' && at - line < MAX_SHOWN_BYTES / 2)
        line--;
    const char *lf = memchr(line, '\n', (size_t)(end - line));
    size_t shown = (size_t)(line_stop(line, lf ? lf : end) - line);
    return (struct text){line, shown < MAX_SHOWN_BYTES ? shown : MAX_SHOWN_BYTES};
}
