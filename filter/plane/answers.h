/* Upstream answers kept until their TTL, and longer for Python to bridge an outage with. Bounded in bytes; the oldest
   goes first, but stays once more when it was used since (Corbató's clock): a hit writes nothing beside itself. What filter/serving/resolving/cache.py refuses or alters is not kept here. */
#ifndef PREAU_ANSWERS_H
#define PREAU_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

enum { MOST_TTLS = 256, LARGEST_ANSWER = 4096, REVIEWS = 4, LONGEST_TTL = 86400, LONGEST_NEGATIVE_TTL = 3600 };
/* As filter/serving/resolving/cache.py: asked for so often, and of such a TTL, that it is fetched ahead. */
enum { HOT_HITS = 3, SHORTEST_PREFETCH = 10 };
enum { KEY_DNSSEC_OK = 1, KEY_CHECKING_DISABLED = 2 };

typedef struct {
    uint16_t offset; /* in the message */
    uint32_t seconds;
} kept_ttl_t;

typedef struct answer {
    struct answer *next; /* of its bucket */
    struct answer *newer, *older; /* by when it was put */
    uint64_t hash;
    int64_t stored; /* microseconds of the steady clock */
    uint64_t passed[REVIEWS]; /* moments whose review it passed; 0 none */
    uint32_t ttl, hits;
    uint16_t length, body, body_end, answers, authorities, ttl_count;
    uint8_t rcode, flags, next_pass;
    bool authenticated, was_used;
    kept_ttl_t ttls[]; /* then the message */
} answer_t;

static inline size_t fixed_size(uint16_t ttl_count) {
    return offsetof(answer_t, ttls) + ttl_count * sizeof(kept_ttl_t);
}
static inline const uint8_t *answer_message(const answer_t *answer) {
    return (const uint8_t *)answer + fixed_size(answer->ttl_count);
}

typedef struct {
    answer_t **buckets;
    uint64_t mask;
    uint8_t key[16];
    size_t bytes, most_bytes, count;
    answer_t *newest, *oldest;
} answers_t;

bool answers_make(answers_t *answers, size_t most_bytes, const uint8_t key[16]);
void answers_free(answers_t *answers);

/* The key of a query: its question and these flags. */
uint8_t key_flags(const query_t *query);
uint64_t answers_name_hash(const answers_t *answers, const name_t *name);
static inline uint64_t answers_key_hash(uint64_t name_hash, uint16_t qtype, uint8_t flags) {
    return name_hash ^ (((uint64_t)qtype << 8 | flags) * 0x9e3779b97f4a7c15u);
}
static inline uint64_t answers_hash(const answers_t *answers, const name_t *name, uint16_t qtype, uint8_t flags) {
    return answers_key_hash(answers_name_hash(answers, name), qtype, flags);
}

/* An upstream's message read and judged fit, or NULL. It is not kept yet. `name` and `qtype`: what was asked. */
answer_t *answer_make(const uint8_t *data, size_t length, const name_t *name, uint16_t qtype, uint8_t flags);
/* Keeps it, in place of an older one; it belongs to the cache from now on, and may be gone on return. */
void answers_put(answers_t *answers, answer_t *answer, uint64_t hash, int64_t now);
answer_t *answers_find(answers_t *answers, uint64_t hash, const name_t *name, uint16_t qtype, uint8_t flags);
/* Ask for the memory that answers_find will read: first this, a little later that. */
void answers_expect(const answers_t *answers, uint64_t hash);
void answers_expect_entry(const answers_t *answers, uint64_t hash);
/* Whole seconds since it was stored. */
uint32_t answer_age(const answer_t *answer, int64_t now);

bool answer_passed(const answer_t *answer, uint64_t moment);
void answer_pass(answer_t *answer, uint64_t moment);
size_t answer_reply(const answer_t *answer, const query_t *query, uint32_t age, uint32_t most_ttl, uint8_t *out);

#endif
