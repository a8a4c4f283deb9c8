/* DNS messages as bytes (RFC 1035, 6891): read with every bound checked. What is unusual is left to Python. */
#ifndef PREAU_PACKET_H
#define PREAU_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEADER = 12,
    LONGEST_NAME = 255, /* bytes on the wire, RFC 1035 2.3.4 */
    MOST_POINTERS = 32,
    UDP_SIZE = 1232, /* filter/serving/replies.py */
    SMALLEST_UDP = 512,
    LARGEST_REPLY = 1500,
};
enum { FLAG_QR = 0x8000, FLAG_TC = 0x0200, FLAG_RD = 0x0100, FLAG_RA = 0x0080, FLAG_AD = 0x0020, FLAG_CD = 0x0010 };
enum {
    TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_AAAA = 28, TYPE_DNAME = 39, TYPE_OPT = 41, TYPE_RRSIG = 46,
    TYPE_NSEC = 47, TYPE_NSEC3 = 50, TYPE_SVCB = 64, TYPE_HTTPS = 65, TYPE_IXFR = 251, TYPE_AXFR = 252, TYPE_ANY = 255,
};

static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t get32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void put16(uint8_t *p, uint32_t value) { p[0] = (uint8_t)(value >> 8); p[1] = (uint8_t)value; }
static inline void put32(uint8_t *p, uint32_t value) { put16(p, value >> 16); put16(p + 2, value & 0xffff); }

/* A name, uncompressed, capitals folded. */
typedef struct {
    uint8_t wire[LONGEST_NAME + 1];
    uint16_t length;
    uint8_t labels;
    bool plain; /* nothing but letters, digits, hyphens and underscores: compared as it is written */
} name_t;

/* Its text without the dot at the end, and where each suffix starts. Only for plain names. */
typedef struct {
    uint8_t text[LONGEST_NAME + 1];
    uint16_t length;
    uint8_t labels;
    uint8_t starts[128];
} dotted_t;

typedef struct {
    const uint8_t *question; /* in the packet: the client's own capitals */
    uint16_t question_length;
    uint16_t id, flags, qtype;
    name_t name;
    bool edns, dnssec_ok;
    uint16_t limit; /* the largest reply this client takes */
} query_t;

typedef struct {
    name_t owner;
    uint16_t rtype, rclass;
    uint32_t ttl;
    size_t ttl_offset, rdata, end;
} record_t;

/* Each returns false for what is malformed, or not understood here. */
bool read_name(const uint8_t *data, size_t length, size_t offset, name_t *name, size_t *end);
bool read_query(const uint8_t *data, size_t length, query_t *query);
bool read_record(const uint8_t *data, size_t length, size_t offset, record_t *record);
bool same_name(const name_t *one, const name_t *other);
void make_dotted(const name_t *name, dotted_t *dotted);

/* What is known of a reply before the client's own bytes. */
typedef struct {
    const uint8_t *body; /* sections behind the question */
    size_t body_length;
    uint16_t answers, authorities;
    uint16_t flags; /* beside QR, RD, CD and the rcode */
    uint8_t rcode;
    const uint8_t *option; /* the whole extended error option (RFC 8914), or nothing */
    size_t option_length;
} parts_t;

/* A whole reply as filter/serving/replies.py `reply` writes it; returns its length, at most LARGEST_REPLY. *body_at
   says where the body starts, 0 when it did not fit. */
size_t write_reply(uint8_t *out, const query_t *query, const parts_t *parts, size_t *body_at);

#endif
