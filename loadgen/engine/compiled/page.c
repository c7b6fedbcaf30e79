#include "page.h"

static const uint32_t LOW_FLAGS = (1u << MORE_CONNECTS_SHIFT) - 1;

static uint32_t user_of(const struct engine *engine, const struct connection *c)
{
    return (uint32_t)(c - engine->connections) % engine->users;
}

static struct page *page_of(const struct engine *engine, const struct connection *c)
{
    return &engine->pages[user_of(engine, c)];
}

static bool under_way(const struct connection *c)
{
    return c->doing >= CONNECTING;
}

static void name_page(struct page *page, const struct connection *c, int64_t begun)
{
    page->row = c->row;
    page->due_ns = c->due_ns;
    page->begun_ns = begun;
}

static void count(struct page *page, const struct connection *c)
{
    page->bytes += c->received;
    page->connects += c->flags & CONNECTED;
    page->flags |= c->flags & LOW_FLAGS;
}

static void write_record(struct engine *engine, const struct page *page, uint32_t number, int64_t done_ns,
                         enum outcome outcome, uint32_t status)
{
    uint32_t more = page->connects > 1 ? page->connects - 1 : 0;
    more = more < MOST_MORE_CONNECTS ? more : MOST_MORE_CONNECTS;
    engine_record(engine, &(struct record){.due_ns = page->due_ns,
                                           .sent_ns = page->begun_ns,
                                           .done_ns = done_ns,
                                           .bytes = page->bytes,
                                           .row = page->row,
                                           .connection = number,
                                           .outcome = outcome,
                                           .flags = page->flags | more << MORE_CONNECTS_SHIFT | status << STATUS_SHIFT});
}

static void forget(struct page *page)
{
    *page = (struct page){.row = NOBODY};
}

void page_start(struct engine *engine, const struct connection *c)
{
    forget(page_of(engine, c));
}

void page_add(struct engine *engine, const struct connection *c, int64_t begun, int64_t done_ns, enum outcome outcome)
{
    struct page *page = page_of(engine, c);
    if (page->row == NOBODY) {
        name_page(page, c, begun);
        page->next_object = c->row + 1;
        page->status = c->flags >> STATUS_SHIFT;
    }
    if (done_ns > page->done_ns)
        page->done_ns = done_ns;
    if (page->ended_as == OUTCOME_OK && outcome != OUTCOME_OK) {
        page->ended_as = outcome;
        page->status = c->flags >> STATUS_SHIFT;
    }
    count(page, c);
}

/* Request the object of `row` as soon as the bytes of the request before have crossed the line. */
static void fetch(struct engine *engine, struct connection *c, uint32_t row)
{
    c->fetches = true;
    c->row = row;
    c->due_ns = c->sent_ns + (int64_t)((double)c->received * engine->load.lane_ns_per_byte);
    if (c->due_ns <= engine->woke_ns)
        engine_begin_soon(engine, c);
    else
        connection_rest(engine, c, c->due_ns);
}

/* Record the page, and go on as after any operation. */
static void end_page(struct engine *engine, struct connection *c)
{
    struct page *page = page_of(engine, c);
    bool rests = page->flags & RESTED;
    const struct op *op = &engine->tape.ops[page->row];
    write_record(engine, page, c->number, page->done_ns, page->ended_as, page->status);
    int64_t due_ns = page->done_ns > page->due_ns ? page->done_ns : page->due_ns;
    if (rests) {
        due_ns += engine->load.error_rest_ns;
    } else if (page->ended_as == OUTCOME_OK) { /* rounded as in connection.c */
        int64_t crossed_ns = page->due_ns + (int64_t)((double)page->bytes * engine->load.ns_per_byte + 0.5);
        due_ns = due_ns > crossed_ns ? due_ns : crossed_ns;
        if (engine->load.line_bps)
            due_ns += op->think_ms * NS_PER_MS;
    }
    forget(page);
    c->row = op->next;
    c->due_ns = due_ns;
    if (!rests && (!engine->load.line_bps || due_ns <= engine->woke_ns))
        engine_begin_soon(engine, c);
    else
        connection_rest(engine, c, due_ns);
}

void page_freed(struct engine *engine, struct connection *freed)
{
    struct page *page = page_of(engine, freed);
    struct connection *first = &engine->connections[user_of(engine, freed)], *end = first + engine->lanes * engine->users;
    freed->doing = RESTING;
    freed->fetches = false;
    bool fetches = false;
    for (struct connection *c = first; c < end; c += engine->users) {
        uint32_t at = page->next_object;
        if (!c->fetches && page->ended_as == OUTCOME_OK && at < engine->tape.rows &&
            engine->tape.ops[at].flags & FLAG_EMBEDDED) {
            page->next_object++;
            fetch(engine, c, at);
        }
        fetches |= c->fetches;
    }
    if (!fetches)
        end_page(engine, first);
}

bool page_gives_up(struct engine *engine, struct connection *c)
{
    struct page *page = page_of(engine, c);
    if (page->ended_as == OUTCOME_OK)
        return false;
    if (c->due_ns > page->done_ns) /* the rest begins when nothing waits for the line any more */
        page->done_ns = c->due_ns;
    page_freed(engine, c);
    return true;
}

void page_stop(struct engine *engine, const struct connection *first, int64_t at_ns)
{
    struct page *page = page_of(engine, first);
    if (page->row == NOBODY) {
        if (!under_way(first))
            return;
        name_page(page, first, begun_ns(first));
    }
    const struct connection *end = first + engine->lanes * engine->users;
    for (const struct connection *c = first; c < end; c += engine->users)
        if (under_way(c))
            count(page, c);
    page->flags &= ~(uint32_t)RESTED; /* nobody rests after the end */
    bool failed = page->ended_as != OUTCOME_OK;
    write_record(engine, page, first->number, at_ns, failed ? page->ended_as : OUTCOME_CUT, failed ? page->status : 0);
}
