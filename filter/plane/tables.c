/* See tables.h. */
#include "tables.h"

#include <stdlib.h>
#include <string.h>

static uint32_t load32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, 4);
    return value;
}

static uint64_t load64(const uint8_t *p) {
    uint64_t value;
    memcpy(&value, p, 8);
    return value;
}

/* So many hashes are read one after the other: halving them is guessed wrong too often. */
enum { FEW = 8 };

typedef struct {
    uint64_t first, end;
} range_t;

static uint64_t bucket_of(const names_t *names, uint64_t hash) {
    return names->fanout_bits ? hash >> (64 - names->fanout_bits) : 0;
}

/* Where the hashes lie that begin as this one does; within the table even when the table lies. */
static range_t range_of(const names_t *names, uint64_t hash) {
    const uint8_t *bucket = names->fanout + 4 * bucket_of(names, hash);
    uint64_t first = load32(bucket), end = load32(bucket + 4);
    return (range_t){first, end < names->names ? end : names->names};
}

void sets_expect(const names_t *names, uint64_t hash) {
    __builtin_prefetch(names->fanout + 4 * bucket_of(names, hash));
}

/* Some four hashes: one line or two, and their set ids are all but always in one. */
void sets_expect_entries(const names_t *names, uint64_t hash) {
    range_t range = range_of(names, hash);
    if (range.first >= range.end) return;
    __builtin_prefetch(names->hashes + 8 * range.first);
    __builtin_prefetch(names->hashes + 8 * (range.end - 1));
    __builtin_prefetch(names->set_ids + names->set_id_size * range.first);
}

int64_t find_set(const names_t *names, uint64_t hash) {
    range_t range = range_of(names, hash);
    uint64_t low = range.first, high = range.end;
    while (low + FEW < high) {
        uint64_t middle = (low + high) / 2;
        if (load64(names->hashes + 8 * middle) < hash) low = middle;
        else high = middle + 1;
    }
    while (low < high && load64(names->hashes + 8 * low) != hash) low++;
    if (low >= high) return NO_SET;
    uint32_t set_id = names->set_id_size == 2 ? (uint32_t)(names->set_ids[2 * low] | names->set_ids[2 * low + 1] << 8)
                                              : load32(names->set_ids + 4 * low);
    return set_id < names->sets ? (int64_t)set_id : NO_SET;
}

bool hashes_make(hashes_t *set, const uint8_t *hashes, size_t count) {
    uint64_t places = 16;
    while (places < 2 * (uint64_t)count + 2) places *= 2;
    set->mask = places - 1;
    if ((set->places = calloc(places, sizeof *set->places)) == NULL) return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = load64(hashes + 8 * i), at = hash & set->mask;
        while (set->places[at] != 0 && set->places[at] != hash) at = (at + 1) & set->mask;
        set->places[at] = hash;
    }
    return true;
}

void hashes_free(hashes_t *set) {
    free(set->places);
    set->places = NULL;
}

address_t address_of_ipv4(const uint8_t bytes[4]) {
    address_t address = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    memcpy(address.bytes + 12, bytes, 4);
    return address;
}

bool is_ipv4(const address_t *address) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(address->bytes, mapped, 12) == 0;
}

/* The network of that many bits which holds the address. */
static address_t masked(const address_t *address, int bits) {
    address_t network = *address;
    for (int byte = 0; byte < 16; byte++) {
        int kept = bits - 8 * byte;
        if (kept <= 0) network.bytes[byte] = 0;
        else if (kept < 8) network.bytes[byte] &= (uint8_t)(0xff << (8 - kept));
    }
    return network;
}

bool networks_make(networks_t *networks, const uint8_t *records, size_t length, uint32_t otherwise) {
    memset(networks, 0, sizeof *networks);
    networks->otherwise = otherwise;
    if (length % 24) return false;
    networks->count = length / 24;
    if ((networks->records = malloc(length + 1)) == NULL) return false;
    if (length) memcpy(networks->records, records, length);
    for (int bits = 128; bits >= 0; bits--)
        for (size_t i = 0; i < networks->count; i++)
            if (load32(networks->records + 24 * i + 16) == (uint32_t)bits) {
                networks->lengths[networks->length_count++] = (uint8_t)bits;
                break;
            }
    return true;
}

void networks_free(networks_t *networks) {
    free(networks->records);
    networks->records = NULL;
}

/* Order of (address, bits) among records. */
static int compare(const uint8_t *record, const address_t *network, uint32_t bits) {
    int order = memcmp(record, network->bytes, 16);
    uint32_t own = load32(record + 16);
    return order ? order : own < bits ? -1 : own > bits;
}

static const uint8_t *find_network(const networks_t *networks, const address_t *network, uint32_t bits) {
    size_t low = 0, high = networks->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(networks->records + 24 * middle, network, bits);
        if (order == 0) return networks->records + 24 * middle;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

uint32_t find_profile(const networks_t *networks, const address_t *client, int *found_bits) {
    bool ipv4 = is_ipv4(client);
    for (int i = 0; i < networks->length_count; i++) {
        int bits = networks->lengths[i];
        address_t network = masked(client, bits);
        if (ipv4 && bits < 96) break; /* ::/0 does not mean all of IPv4 */
        const uint8_t *found = find_network(networks, &network, (uint32_t)bits);
        if (found != NULL) {
            *found_bits = bits;
            return load32(found + 20);
        }
    }
    *found_bits = -1;
    return networks->otherwise;
}

static bool lists_network(const addresses_t *addresses, const address_t *network, uint8_t bits) {
    const uint8_t *records = addresses->section + 32;
    size_t low = 0, high = (addresses->length - 32) / 24;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(records + 24 * middle, network->bytes, 16);
        if (order == 0) order = records[24 * middle + 16] < bits ? -1 : records[24 * middle + 16] > bits;
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

bool is_listed(const addresses_t *addresses, const uint8_t *packed, size_t size) {
    address_t address;
    if (addresses->length < 32) return false;
    if (size == 4) address = address_of_ipv4(packed);
    else memcpy(address.bytes, packed, 16);
    for (int bits = 128; bits >= (size == 4 ? 96 : 0); bits--) {
        if (!(addresses->section[bits / 8] >> (bits % 8) & 1)) continue;
        address_t network = masked(&address, bits);
        if (lists_network(addresses, &network, (uint8_t)bits)) return true;
    }
    return false;
}

static bool is_private_ipv4(const uint8_t *a) {
    return a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224 || (a[0] == 100 && (a[1] & 0xc0) == 64) ||
           (a[0] == 169 && a[1] == 254) || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168);
}

bool is_doubtful(const uint8_t *packed, size_t size) {
    static const uint8_t zeros[10] = {0}, nat64[] = {0, 0x64, 0xff, 0x9b};
    if (size == 4) return is_private_ipv4(packed);
    if (memcmp(packed, zeros, 10) == 0 || memcmp(packed, nat64, 4) == 0) return true;
    if (packed[0] == 0x20 && packed[1] == 0x02) return true; /* 6to4 */
    return (packed[0] & 0xfe) == 0xfc || packed[0] == 0xff || (packed[0] == 0xfe && packed[1] >= 0x80);
}
