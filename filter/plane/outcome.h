/* What Python decided once and the plane does again: a reply, an allowance, silence. Written by teaching.py. */
#ifndef PREAU_OUTCOME_H
#define PREAU_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

enum { OUTCOME_ALLOW, OUTCOME_REPLY, OUTCOME_DROP, OUTCOME_PYTHON, OUTCOME_KINDS };
enum { COUNTS_CACHE_HIT = 1, ASKS_PYTHONS_RESOLVERS = 2, MOST_VARIANTS = 3 };
#define NEVER INT64_MAX

typedef struct {
    parts_t parts;
    uint16_t ttl_count;
    const uint8_t *ttls; /* (offset in the body: 2, seconds: 4) each; they age from `since` */
} variant_t;

typedef struct {
    uint8_t kind, flags, variant_count;
    uint32_t class_number; /* which counter */
    uint32_t most_ttl;     /* seconds that an answer may be remembered */
    int64_t wall_end, clock_end, since; /* microseconds; after either end it holds no longer */
    variant_t variants[MOST_VARIANTS];
    size_t size;
    uint8_t content[];
} outcome_t;

/* The outcome that the bytes say, or NULL when they say none, or memory is short. */
outcome_t *outcome_read(const uint8_t *data, size_t length);
static inline bool outcome_holds(const outcome_t *outcome, int64_t wall, int64_t clock) {
    return wall < outcome->wall_end && clock < outcome->clock_end;
}
/* The reply of an OUTCOME_REPLY; its length. */
size_t outcome_reply(const outcome_t *outcome, const query_t *query, int64_t clock, uint8_t *out);

#endif
