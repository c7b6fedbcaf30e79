/* Every number that C and Python must agree on, by name, for the comparison at import (layout.py). */
#ifndef LOADGEN_LAYOUT_H
#define LOADGEN_LAYOUT_H

#include <stdint.h>

struct fact {
    const char *name;
    int64_t value;
};

/* The last entry has the name NULL. */
extern const struct fact layout_facts[];

#endif
