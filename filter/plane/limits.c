/* See limits.h. */
#include "limits.h"

#include <stdlib.h>
#include <string.h>

#include "siphash.h"

enum { WAYS = 4, BURST_SECONDS = 2, SLIP = 3, PER_KNOWN_ADDRESS = 5, PER_KNOWN_HOST = 20, PER_SUBNET = 4 };

bool limits_make(limits_t *limits, const uint8_t key[16]) {
    memcpy(limits->key, key, 16);
    limits->places = calloc(LIMIT_PLACES, sizeof *limits->places);
    return limits->places != NULL;
}

void limits_free(limits_t *limits) {
    free(limits->places);
    limits->places = NULL;
}

/* The bucket of a client or subnet; where all places are taken, that of whoever asked least lately is given away. */
static bucket_t *find_bucket(limits_t *limits, uint64_t key, double most, int64_t now) {
    bucket_t *places = limits->places + (key % (LIMIT_PLACES / WAYS)) * WAYS, *oldest = places;
    for (int i = 0; i < WAYS; i++) {
        if (places[i].key == key) return &places[i];
        if (places[i].since < oldest->since) oldest = &places[i];
    }
    *oldest = (bucket_t){key, now, most};
    return oldest;
}

static bool draw(limits_t *limits, const uint8_t *who, size_t length, uint32_t times, int64_t now) {
    double rate = (double)limits->rate * times, most = rate * BURST_SECONDS;
    bucket_t *bucket = find_bucket(limits, siphash13(limits->key, who, length) | 1, most, now);
    double tokens = bucket->tokens + (double)(now - bucket->since) * rate / 1e6;
    bucket->tokens = tokens < most ? tokens : most;
    bucket->since = now;
    if (bucket->tokens < 1) return false;
    bucket->tokens -= 1;
    return true;
}

static bool is_ourselves(const address_t *client) {
    static const address_t ipv4 = {{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}}, ipv6 = {{[15] = 1}};
    return memcmp(client, &ipv4, 16) == 0 || memcmp(client, &ipv6, 16) == 0;
}

/* A client is an IPv4 address or an IPv6 /64, a subnet a /24 or a /56: so many bytes, and which of both. */
static bool may_ask(limits_t *limits, const address_t *client, int bits, int64_t now) {
    bool ipv4 = is_ipv4(client);
    uint8_t who[17];
    memcpy(who, client->bytes, 16);
    if (bits == 128) return draw(limits, who, 16, PER_KNOWN_HOST, now); /* apart from the /64 around it */
    if (bits >= 0) return draw(limits, who, ipv4 ? 16 : 8, PER_KNOWN_ADDRESS, now);
    return draw(limits, who, ipv4 ? 16 : 8, 1, now) && draw(limits, who, ipv4 ? 15 : 7, PER_SUBNET, now);
}

int admit(limits_t *limits, const address_t *client, int bits, int64_t now) {
    if (limits->rate == 0 || is_ourselves(client) || may_ask(limits, client, bits, now)) return ADMITTED;
    if (++limits->over % SLIP) {
        limits->dropped++;
        return REFUSED;
    }
    limits->slipped++;
    return SLIPPED;
}

size_t write_cut(const uint8_t *data, size_t length, uint8_t *out) {
    name_t name;
    size_t end;
    if (length < HEADER || (get16(data + 2) & 0xf800) || !read_name(data, length, HEADER, &name, &end)) return 0;
    if (end - HEADER != name.length || end + 4 > length) return 0;
    memset(out, 0, HEADER);
    memcpy(out, data, 2);
    put16(out + 2, FLAG_QR | FLAG_TC | FLAG_RA | (get16(data + 2) & FLAG_RD));
    put16(out + 4, 1);
    memcpy(out + HEADER, data + HEADER, end + 4 - HEADER);
    return end + 4;
}
