#define _GNU_SOURCE
#include "body.h"

#include <stdlib.h>
#include <string.h>

enum { STASH_KEPT_BYTES = 512 };

bool stash_put(struct stash *stash, const char *data, size_t bytes)
{
    if (bytes > stash->room) {
        size_t room = bytes < STASH_KEPT_BYTES ? STASH_KEPT_BYTES : bytes;
        char *at = malloc(room);
        if (at == NULL)
            return false;
        memcpy(at, data, bytes); /* copy before free: `data` may point into stash->at */
        free(stash->at);
        stash->at = at;
        stash->room = (uint32_t)room;
    } else if (bytes) {
        memmove(stash->at, data, bytes);
    }
    stash->bytes = (uint32_t)bytes;
    return true;
}

void stash_empty(struct stash *stash)
{
    if (stash->room > STASH_KEPT_BYTES)
        stash_free(stash);
    stash->bytes = 0;
}

void stash_free(struct stash *stash)
{
    free(stash->at);
    *stash = (struct stash){0};
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b > 0);
}

void body_begin(struct body *body, const struct tape *tape, const struct op *op)
{
    const struct check *check = &tape->checks[op->check];
    body->tape = tape;
    body->check = check;
    body->at = check->anchor ? -1 : 0;
    body->literal = op->literal;
    body->right = true;
    body->positions = 0;
    if (check->content_bytes > 0 && tape_text(tape, check->period).bytes && check->stride_bytes) {
        int64_t rest = check->content_bytes - (int64_t)tape_text(tape, check->prefix).bytes;
        body->positions = rest > 0 ? ceil_div(rest, check->stride_bytes) : 0;
    }
    if (body->waiting.at != NULL)
        stash_empty(&body->waiting);
}

/* Whether data = content[at..after] agrees with `text` expected at `offset` of the content. */
static bool stands(struct text text, int64_t offset, const char *data, int64_t at, int64_t after)
{
    int64_t low = offset > at ? offset : at;
    int64_t high = offset + (int64_t)text.bytes < after ? offset + (int64_t)text.bytes : after;
    return low >= high || memcmp(data + (low - at), text.at + (low - offset), (size_t)(high - low)) == 0;
}

/* Whether data = content[at..after] has the expected bytes. */
static bool matches(const struct body *body, const char *data, int64_t at, int64_t after)
{
    const struct check *check = body->check;
    const struct tape *tape = body->tape;
    struct text prefix = tape_text(tape, check->prefix);
    if (prefix.bytes && !stands(prefix, 0, data, at, after))
        return false;
    if (body->literal)
        for (int i = 0; i < LITERALS; i++)
            if (check->literal_at[i] >= 0 &&
                !stands(tape_text(tape, body->literal), check->literal_at[i], data, at, after))
                return false;
    if (check->suffix && !stands(tape_text(tape, check->suffix), check->content_bytes, data, at, after))
        return false;
    if (body->positions) {
        struct text period = tape_text(tape, check->period);
        int64_t first = (int64_t)prefix.bytes, stride = check->stride_bytes;
        int64_t begin = at > first ? ceil_div(at - first, stride) : 0;
        int64_t stop = after > first ? ceil_div(after - first, stride) : 0;
        if (stop > body->positions)
            stop = body->positions;
        if (begin >= stop)
            return true;
        const char *byte = data + (first + begin * stride - at);
        size_t in_period = (size_t)(begin % (int64_t)period.bytes);
        for (int64_t j = begin; j < stop; j++, byte += stride) {
            if (*byte != period.at[in_period])
                return false;
            if (++in_period == period.bytes)
                in_period = 0;
        }
    }
    return true;
}

/* Whether the body is not far longer than expected. */
static bool in_bounds(const struct body *body)
{
    int64_t suffix = (int64_t)tape_text(body->tape, body->check->suffix).bytes;
    return body->at <= body->check->content_bytes + suffix + OVERRUN_BYTES;
}

bool body_look(struct body *body, char *data, size_t bytes)
{
    const struct check *check = body->check;
    if (check->content_bytes < 0)
        return true;
    if (body->at < 0) {
        struct text anchor = tape_text(body->tape, check->anchor);
        struct stash *waiting = &body->waiting;
        if (waiting->bytes) {
            data -= waiting->bytes;
            memcpy(data, waiting->at, waiting->bytes);
            bytes += waiting->bytes;
        }
        size_t within = bytes < ANCHOR_WITHIN_BYTES ? bytes : ANCHOR_WITHIN_BYTES;
        char *found = memmem(data, within, anchor.at, anchor.bytes);
        if (found == NULL)
            return stash_put(waiting, data, within) && bytes < ANCHOR_WITHIN_BYTES;
        stash_empty(waiting);
        found += anchor.bytes;
        bytes -= (size_t)(found - data);
        data = found;
        body->at = 0;
    }
    int64_t at = body->at;
    body->at = at + (int64_t)bytes;
    if (body->right)
        body->right = matches(body, data, at, body->at);
    return in_bounds(body);
}

int64_t body_unchecked_ahead(const struct body *body)
{
    const struct check *check = body->check;
    if (check->content_bytes < 0)
        return INT64_MAX;
    if (body->at < 0)
        return 0;
    if (!body->right || body->at >= check->content_bytes + (int64_t)tape_text(body->tape, check->suffix).bytes)
        return INT64_MAX;
    struct text prefix = tape_text(body->tape, check->prefix);
    if (body->positions || body->at < (int64_t)prefix.bytes)
        return 0;
    int64_t ahead = INT64_MAX;
    if (check->suffix)
        ahead = check->content_bytes > body->at ? check->content_bytes - body->at : 0;
    if (body->literal)
        for (int i = 0; i < LITERALS; i++) {
            int64_t offset = check->literal_at[i];
            if (offset >= 0 && offset + (int64_t)tape_text(body->tape, body->literal).bytes > body->at) {
                int64_t until = offset > body->at ? offset - body->at : 0;
                ahead = until < ahead ? until : ahead;
            }
        }
    return ahead;
}

bool body_skip(struct body *body, int64_t bytes)
{
    if (body->check->content_bytes < 0)
        return true;
    body->at += bytes;
    return in_bounds(body);
}

enum outcome body_verdict(const struct body *body)
{
    const struct check *check = body->check;
    if (check->content_bytes < 0)
        return OUTCOME_OK;
    if (body->at < 0)
        return OUTCOME_BAD_CONTENT;
    if (body->at != check->content_bytes + (int64_t)tape_text(body->tape, check->suffix).bytes)
        return OUTCOME_BAD_LENGTH;
    return body->right ? OUTCOME_OK : OUTCOME_BAD_CONTENT;
}
