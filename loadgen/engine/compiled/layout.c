#include "layout.h"

#include "engine.h"
#include "status.h"

#define SIZE(dtype, type)                                                                                              \
    {                                                                                                                  \
        dtype " bytes", sizeof(struct type)                                                                            \
    }
#define FIELD(dtype, type, field)                                                                                      \
    {dtype "." #field " offset", offsetof(struct type, field)},                                                        \
    {                                                                                                                  \
        dtype "." #field " bytes", sizeof(((struct type *)0)->field)                                                   \
    }
#define OP(field) FIELD("OP_DTYPE", op, field)
#define CHECK(field) FIELD("CHECK_DTYPE", check, field)
#define RECORD(field) FIELD("RECORD_DTYPE", record, field)
#define PIECE(field) FIELD("PIECE_DTYPE", piece, field)
#define KIND(name)                                                                                                     \
    {                                                                                                                  \
        "PieceKind." #name, PIECE_##name                                                                               \
    }
#define OUTCOME(name)                                                                                                  \
    {                                                                                                                  \
        "Outcome." #name, OUTCOME_##name                                                                               \
    }

const struct fact layout_facts[] = {
    SIZE("OP_DTYPE", op),
    OP(line),
    OP(rest),
    OP(check),
    OP(cookie),
    OP(literal),
    OP(next),
    OP(target),
    OP(status),
    OP(kind),
    OP(group),
    OP(flags),
    OP(template),
    OP(think_ms),
    SIZE("CHECK_DTYPE", check),
    CHECK(anchor),
    CHECK(content_bytes),
    CHECK(prefix),
    CHECK(period),
    CHECK(stride_bytes),
    CHECK(suffix),
    CHECK(literal_at),
    SIZE("PIECE_DTYPE", piece),
    PIECE(low),
    PIECE(span),
    PIECE(text),
    PIECE(kind),
    PIECE(digits),
    SIZE("RECORD_DTYPE", record),
    RECORD(due_ns),
    RECORD(sent_ns),
    RECORD(done_ns),
    RECORD(bytes),
    RECORD(row),
    RECORD(connection),
    RECORD(outcome),
    RECORD(flags),
    KIND(TEXT),
    KIND(HOST),
    KIND(NUMBER),
    KIND(UUID),
    KIND(RANDOM),
    KIND(SECONDS),
    KIND(MILLISECONDS),
    KIND(NANOSECONDS),
    KIND(CONNECTION),
    KIND(COLUMN),
    KIND(LENGTH),
    KIND(BODY),
    OUTCOME(OK),
    OUTCOME(CUT),
    OUTCOME(REFUSED),
    OUTCOME(UNREACHABLE),
    OUTCOME(LOCAL_LIMIT),
    OUTCOME(NO_REPLY),
    OUTCOME(RESET),
    OUTCOME(CLOSED_EARLY),
    OUTCOME(TIMED_OUT),
    OUTCOME(MALFORMED),
    OUTCOME(HEAD_TOO_LARGE),
    OUTCOME(BAD_STATUS),
    OUTCOME(BAD_LENGTH),
    OUTCOME(BAD_CONTENT),
    OUTCOME(BAD_COOKIE),
    OUTCOME(SHED),
    OUTCOME(BAD_TLS),
    {"KEEP_ALIVE", FLAG_KEEP_ALIVE},
    {"CLOSE_AFTER", FLAG_CLOSE_AFTER},
    {"NO_BODY", FLAG_NO_BODY},
    {"OWN_HOST", FLAG_OWN_HOST},
    {"EMBEDDED", FLAG_EMBEDDED},
    {"FIRST_STATUS_SET", FIRST_STATUS_SET},
    {"STATUS_WORDS", STATUS_WORDS},
    {"CONNECTED", CONNECTED},
    {"RETRIED", RETRIED},
    {"RESTED", RESTED},
    {"SURPLUS", SURPLUS},
    {"MORE_CONNECTS_SHIFT", MORE_CONNECTS_SHIFT},
    {"MOST_MORE_CONNECTS", MOST_MORE_CONNECTS},
    {"STATUS_SHIFT", STATUS_SHIFT},
    {"MAX_SHOWN", MAX_SHOWN},
    {"MORE", REPLY_MORE},
    {"DONE", REPLY_DONE},
    {"MAX_HEAD_BYTES", MAX_HEAD_BYTES},
    {"MAX_CHUNK_LINE_BYTES", MAX_CHUNK_LINE_BYTES},
    {"MAX_SHOWN_BYTES", MAX_SHOWN_BYTES},
    {"ANCHOR_WITHIN_BYTES", ANCHOR_WITHIN_BYTES},
    {"OVERRUN_BYTES", OVERRUN_BYTES},
    {"Ending.COMPLETE", PLAYED_TO_THE_END},
    {"Ending.STOPPED", PLAYED_UNTIL_STOPPED},
    {"Ending.LEASE_EXPIRED", PLAYED_UNTIL_THE_LEASE_EXPIRED},
    {"NOBODY", NOBODY},
    {"TCP_FIELDS", TCP_FIELDS},
    {"TCP_COUNTERS", TCP_COUNTERS},
    {"TCP_INFO_BYTES", TCP_INFO_BYTES},
    {"TCP_LOOK_NS", TCP_LOOK_NS},
    {"TCP_LOOKS_AT_ONCE", TCP_LOOKS_AT_ONCE},
    {"TCP_ROUND_NS", TCP_ROUND_NS},
    {"TCP_QUICK_NS", TCP_QUICK_NS},
    {"TCP_QUICK_LOOKS", TCP_QUICK_LOOKS},
    {NULL, 0},
};
