/* SipHash-1-3 (Aumasson, Bernstein 2012): the keyed hash of names, as filter/domains.py has it. */
#ifndef PREAU_SIPHASH_H
#define PREAU_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIP_ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1]; v[1] = SIP_ROTATE(v[1], 13); v[1] ^= v[0]; v[0] = SIP_ROTATE(v[0], 32);
    v[2] += v[3]; v[3] = SIP_ROTATE(v[3], 16); v[3] ^= v[2];
    v[0] += v[3]; v[3] = SIP_ROTATE(v[3], 21); v[3] ^= v[0];
    v[2] += v[1]; v[1] = SIP_ROTATE(v[1], 17); v[1] ^= v[2]; v[2] = SIP_ROTATE(v[2], 32);
}

static inline uint64_t sip_load(const uint8_t *data) {
    uint64_t word;
    memcpy(&word, data, 8); /* only little-endian machines get here: filter/bundle.py refuses others */
    return word;
}

/* The length % 8 bytes at the end as a number, read with those before them where there are any: no loop to guess. */
static inline uint64_t sip_rest(const uint8_t *data, size_t length) {
    size_t rest = length & 7;
    uint64_t word = 0;
    if (length >= 8) return sip_load(data + length - 8) >> (56 - 8 * rest) >> 8;
    for (size_t i = 0; i < rest; i++) word |= (uint64_t)data[i] << (8 * i);
    return word;
}

static inline uint64_t siphash13(const uint8_t key[16], const uint8_t *data, size_t length) {
    uint64_t k0 = sip_load(key), k1 = sip_load(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    const uint8_t *end = data + (length & ~(size_t)7);
    uint64_t last = (uint64_t)length << 56 | sip_rest(data, length);
    for (; data < end; data += 8) {
        uint64_t word = sip_load(data);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
