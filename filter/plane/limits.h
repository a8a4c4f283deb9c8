/* How often an address may ask: token buckets, bounded in number (filter/serving/limits.py says why and how much). */
#ifndef PREAU_LIMITS_H
#define PREAU_LIMITS_H

#include "packet.h"
#include "tables.h"

enum { LIMIT_PLACES = 65536 };

typedef struct {
    uint64_t key;
    int64_t since; /* microseconds of the steady clock */
    double tokens;
} bucket_t;

typedef struct {
    uint8_t key[16];
    uint32_t rate; /* queries a second; 0: no limit */
    uint32_t over;
    uint64_t dropped, slipped;
    bucket_t *places;
} limits_t;

enum { ADMITTED, SLIPPED, REFUSED };

bool limits_make(limits_t *limits, const uint8_t key[16]);
void limits_free(limits_t *limits);
/* `bits`: of the network of the policy that holds the client, -1 for none. SLIPPED: a cut reply is due. */
int admit(limits_t *limits, const address_t *client, int bits, int64_t now);
/* The question alone, and TC; 0 for what is no plain query. */
size_t write_cut(const uint8_t *data, size_t length, uint8_t *out);

#endif
