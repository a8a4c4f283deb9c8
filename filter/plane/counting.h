/* What was counted since Python last asked: queries by class, seconds, cache, and names (filter/namecounts.py). */
#ifndef PREAU_COUNTING_H
#define PREAU_COUNTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

enum { MOST_CLASSES = 65536, BUCKETS = 17, MOST_NAMES = 20000, NAME_PLACES = 32768, SLOTS = 240, HOURS = 2 };
enum { GROUP_ADDRESS, GROUP_SERVICE, GROUP_OTHER };

/* Upper bounds, in microseconds; the last bucket has none. As filter/metrics.py ANSWER_BUCKETS. */
extern const int64_t BUCKET_ENDS[BUCKETS - 1];

typedef struct {
    uint64_t counts[BUCKETS];
    uint64_t microseconds;
} durations_t;

typedef struct {
    uint64_t bits[4]; /* which of SLOTS devices lit */
    uint64_t queries;
    uint32_t profile; /* number of its slug */
    uint8_t group;
    uint8_t length;
    uint8_t text[];
} name_count_t;

typedef struct {
    uint64_t hash; /* here too: what is not the name that is looked for need not be read */
    name_count_t *count;
} name_place_t;

typedef struct {
    name_place_t places[NAME_PLACES];
    size_t count;
} name_counts_t;

/* A name that was asked for, its hash (keyed, always the same key), the number of the profile's slug, and the type. */
typedef struct {
    const dotted_t *name;
    uint64_t hash;
    uint32_t profile;
    uint16_t qtype;
} naming_t;

typedef struct {
    uint64_t *classes[HOURS]; /* of even and odd hours, so that none counts for the next */
    int64_t hours[HOURS];     /* since 1970 */
    uint32_t class_count;
    durations_t answers, upstream_answered, upstream_failed;
    uint64_t hits, misses, prefetches, no_query, names_dropped, overload;
    bool counts_names;
    uint8_t names_key[16];
    name_counts_t *names;
} counting_t;

bool counting_make(counting_t *counting);
void counting_free(counting_t *counting);
bool counting_grow(counting_t *counting, uint32_t class_count);
void count_class(counting_t *counting, uint32_t class_number, int64_t wall);
/* That so many queries took that long each. */
void count_duration(durations_t *durations, int64_t microseconds, uint64_t times);
/* One more query for a name by a client, whose address is written as people do. */
void count_name(counting_t *counting, const naming_t *naming, const char *client);
/* Asks for the memory that counting this name will read. */
void names_expect(const counting_t *counting, uint64_t hash);
/* The names counted so far, from now on the caller's; NULL when there are none. */
name_counts_t *take_names(counting_t *counting);
void free_names(name_counts_t *names);

#endif
