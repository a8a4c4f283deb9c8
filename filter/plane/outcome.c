/* See outcome.h. Little-endian: kind 1, flags 1, variants 1, 1 spare, class 4, most TTL 4, wall end 8, clock end 8,
   since 8; a variant: rcode 1, 1 spare, answers 2, authorities 2, body 2, option 2, TTLs 2, then these three. */
#include "outcome.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 36, VARIANT_HEAD = 12, TTL_SIZE = 6, LARGEST_BODY = 4096 };

static uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t load32(const uint8_t *p) { return load16(p) | (uint32_t)load16(p + 2) << 16; }
static int64_t load64(const uint8_t *p) {
    int64_t value;
    memcpy(&value, p, 8);
    return value;
}

static bool read_variant(variant_t *variant, const uint8_t **at, const uint8_t *end) {
    const uint8_t *head = *at;
    if (end - head < VARIANT_HEAD) return false;
    parts_t *parts = &variant->parts;
    *parts = (parts_t){.rcode = head[0], .answers = load16(head + 2), .authorities = load16(head + 4),
                       .body_length = load16(head + 6), .option_length = load16(head + 8), .flags = FLAG_RA};
    variant->ttl_count = load16(head + 10);
    size_t rest = parts->body_length + parts->option_length + (size_t)TTL_SIZE * variant->ttl_count;
    if (parts->body_length > LARGEST_BODY || parts->option_length > SMALLEST_UDP / 2) return false;
    if ((size_t)(end - head) < VARIANT_HEAD + rest) return false;
    parts->body = head + VARIANT_HEAD;
    parts->option = parts->body + parts->body_length;
    variant->ttls = parts->option + parts->option_length;
    for (int i = 0; i < variant->ttl_count; i++)
        if (load16(variant->ttls + TTL_SIZE * i) + 4u > parts->body_length) return false;
    *at = head + VARIANT_HEAD + rest;
    return true;
}

outcome_t *outcome_read(const uint8_t *data, size_t length) {
    if (length < HEAD || length > 1 << 16) return NULL;
    outcome_t *outcome = malloc(sizeof *outcome + length);
    if (outcome == NULL) return NULL;
    outcome->size = length;
    memcpy(outcome->content, data, length);
    const uint8_t *head = outcome->content, *at = head + HEAD, *end = head + length;
    outcome->kind = head[0];
    outcome->flags = head[1];
    outcome->variant_count = head[2];
    outcome->class_number = load32(head + 4);
    outcome->most_ttl = load32(head + 8);
    outcome->wall_end = load64(head + 12);
    outcome->clock_end = load64(head + 20);
    outcome->since = load64(head + 28);
    bool sound = outcome->kind < OUTCOME_KINDS && outcome->variant_count <= MOST_VARIANTS &&
                 (outcome->kind != OUTCOME_REPLY || outcome->variant_count == 1 || outcome->variant_count == 3);
    for (int i = 0; sound && i < outcome->variant_count; i++) sound = read_variant(&outcome->variants[i], &at, end);
    if (sound && at == end) return outcome;
    free(outcome);
    return NULL;
}

size_t outcome_reply(const outcome_t *outcome, const query_t *query, int64_t clock, uint8_t *out) {
    int number = outcome->variant_count == 1 ? 0 : query->qtype == TYPE_A ? 0 : query->qtype == TYPE_AAAA ? 1 : 2;
    const variant_t *variant = &outcome->variants[number];
    size_t body_at, length = write_reply(out, query, &variant->parts, &body_at);
    uint64_t age = clock > outcome->since ? ((uint64_t)clock - (uint64_t)outcome->since) / 1000000 : 0;
    for (int i = 0; body_at && i < variant->ttl_count; i++) {
        const uint8_t *ttl = variant->ttls + TTL_SIZE * i;
        uint64_t seconds = load32(ttl + 2) > age ? load32(ttl + 2) - age : 0;
        if (seconds > outcome->most_ttl) seconds = outcome->most_ttl;
        put32(out + body_at + load16(ttl), (uint32_t)seconds);
    }
    return length;
}
