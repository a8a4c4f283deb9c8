/* What a policy judges by, as views of memory that Python keeps alive: names, networks, addresses (filter/bundle.py). */
#ifndef PREAU_TABLES_H
#define PREAU_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The tables of a names file: FANOUT, HASHES, SET_IDS. */
typedef struct {
    uint8_t key[16];
    const uint8_t *fanout, *hashes, *set_ids;
    uint64_t names;
    uint32_t sets;
    uint8_t fanout_bits, set_id_size;
} names_t;

enum { NO_SET = -1 };

/* Ask for the memory that find_set will read: first this, a little later that. */
void sets_expect(const names_t *names, uint64_t hash);
void sets_expect_entries(const names_t *names, uint64_t hash);
/* The set id of a name's hash, or NO_SET. Bounded even for tables that lie. */
int64_t find_set(const names_t *names, uint64_t hash);

/* A set of 64-bit hashes; 0 stands for an empty place, and is in every set. */
typedef struct {
    uint64_t *places;
    uint64_t mask;
} hashes_t;

bool hashes_make(hashes_t *set, const uint8_t *hashes, size_t count);
void hashes_free(hashes_t *set);
static inline bool hashes_hold(const hashes_t *set, uint64_t hash) {
    for (uint64_t at = hash & set->mask;; at = (at + 1) & set->mask) {
        if (set->places[at] == hash) return true;
        if (set->places[at] == 0) return hash == 0;
    }
}

/* An address as IPv6 writes it, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
typedef struct {
    uint8_t bytes[16];
} address_t;

address_t address_of_ipv4(const uint8_t bytes[4]);
bool is_ipv4(const address_t *address);

/* Networks and the profile of their clients: 24 bytes each, growing: address (16), prefix of those 128 bits (4), profile
   (4). */
typedef struct {
    uint8_t *records;
    size_t count;
    uint8_t lengths[129];
    int length_count; /* prefix lengths in use, longest first */
    uint32_t otherwise;
} networks_t;

bool networks_make(networks_t *networks, const uint8_t *records, size_t length, uint32_t otherwise);
void networks_free(networks_t *networks);
/* *bits: of the network that holds the client, -1 when none does. */
uint32_t find_profile(const networks_t *networks, const address_t *client, int *bits);

/* The ADDRESSES section. */
typedef struct {
    const uint8_t *section;
    size_t length;
} addresses_t;

/* Whether a listed network holds the address (4 or 16 bytes). */
bool is_listed(const addresses_t *addresses, const uint8_t *packed, size_t size);
/* Whether an address leads inside, or hides an IPv4 address: the judgement is then Python's (filter/addresses.py). */
bool is_doubtful(const uint8_t *packed, size_t size);

#endif
