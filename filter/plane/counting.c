/* See counting.h. */
#include "counting.h"

#include <stdlib.h>
#include <string.h>

#include "siphash.h"

const int64_t BUCKET_ENDS[BUCKETS - 1] = {50,    100,   200,    500,    1000,   2000,    5000,    10000,
                                          20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000};

bool counting_make(counting_t *counting) {
    memset(counting, 0, sizeof *counting);
    return counting_grow(counting, 64);
}

void counting_free(counting_t *counting) {
    for (int i = 0; i < HOURS; i++) free(counting->classes[i]);
    free_names(counting->names);
}

bool counting_grow(counting_t *counting, uint32_t class_count) {
    if (class_count > MOST_CLASSES) return false;
    if (class_count <= counting->class_count) return true;
    uint32_t wanted = counting->class_count ? counting->class_count : 64;
    while (wanted < class_count) wanted *= 2;
    for (int i = 0; i < HOURS; i++) {
        uint64_t *grown = realloc(counting->classes[i], wanted * sizeof *grown);
        if (grown == NULL) return false;
        memset(grown + counting->class_count, 0, (wanted - counting->class_count) * sizeof *grown);
        counting->classes[i] = grown;
    }
    counting->class_count = wanted;
    return true;
}

void count_class(counting_t *counting, uint32_t class_number, int64_t wall) {
    int64_t hour = wall / 3600000000;
    if (class_number >= counting->class_count) return; /* teaching.py grows it first */
    counting->classes[hour & 1][class_number]++;
    counting->hours[hour & 1] = hour;
}

void count_duration(durations_t *durations, int64_t microseconds, uint64_t times) {
    int bucket = 0;
    while (bucket < BUCKETS - 1 && microseconds > BUCKET_ENDS[bucket]) bucket++;
    durations->counts[bucket] += times;
    durations->microseconds += microseconds > 0 ? times * (uint64_t)microseconds : 0;
}

static uint8_t group_of(uint16_t qtype) {
    if (qtype == TYPE_A || qtype == TYPE_AAAA) return GROUP_ADDRESS;
    return qtype == TYPE_SVCB || qtype == TYPE_HTTPS ? GROUP_SERVICE : GROUP_OTHER;
}

/* Which bit this device lights for this name today: as NameCounts.count. */
static unsigned slot_of(const counting_t *counting, const dotted_t *name, const char *client) {
    uint8_t text[LONGEST_NAME + 64];
    size_t length = name->length, rest = strnlen(client, 48);
    memcpy(text, name->text, length);
    text[length++] = 0;
    memcpy(text + length, client, rest);
    int64_t hash = (int64_t)siphash13(counting->names_key, text, length + rest);
    int64_t slot = hash % SLOTS; /* the hash is signed there, and the remainder never negative */
    return (unsigned)(slot < 0 ? slot + SLOTS : slot);
}

static bool is_counted(const name_count_t *count, const naming_t *naming, uint8_t group) {
    return count->group == group && count->profile == naming->profile && count->length == naming->name->length &&
           memcmp(count->text, naming->name->text, naming->name->length) == 0;
}

static name_count_t *begin(counting_t *counting, name_place_t *place, const naming_t *naming, uint8_t group) {
    const dotted_t *name = naming->name;
    if (counting->names->count >= MOST_NAMES) return NULL;
    name_count_t *count = calloc(1, sizeof *count + name->length);
    if (count == NULL) return NULL;
    *place = (name_place_t){naming->hash, count};
    count->group = group;
    count->profile = naming->profile;
    count->length = (uint8_t)name->length;
    memcpy(count->text, name->text, name->length);
    counting->names->count++;
    return count;
}

void names_expect(const counting_t *counting, uint64_t hash) {
    if (counting->names != NULL) __builtin_prefetch(&counting->names->places[hash % NAME_PLACES]);
}

void count_name(counting_t *counting, const naming_t *naming, const char *client) {
    uint8_t group = group_of(naming->qtype);
    if (!counting->counts_names) return;
    if (counting->names == NULL) counting->names = calloc(1, sizeof *counting->names);
    if (counting->names == NULL) return;
    name_place_t *places = counting->names->places;
    uint64_t at = naming->hash % NAME_PLACES;
    while (places[at].count != NULL && !(places[at].hash == naming->hash && is_counted(places[at].count, naming, group)))
        at = (at + 1) % NAME_PLACES;
    name_count_t *count = places[at].count ? places[at].count : begin(counting, &places[at], naming, group);
    if (count == NULL) {
        counting->names_dropped++;
        return;
    }
    count->queries++;
    unsigned slot = slot_of(counting, naming->name, client);
    count->bits[slot / 64] |= (uint64_t)1 << slot % 64;
}

name_counts_t *take_names(counting_t *counting) {
    name_counts_t *names = counting->names;
    counting->names = NULL;
    return names;
}

void free_names(name_counts_t *names) {
    if (names == NULL) return;
    for (size_t i = 0; i < NAME_PLACES; i++) free(names->places[i].count);
    free(names);
}
