/* See packet.h. Reads as filter/serving/wire.py does, or refuses. */
#include "packet.h"

#include <string.h>

#define SAME(c) [c] = c
#define FOUR(c) SAME(c), SAME(c + 1), SAME(c + 2), SAME(c + 3)
#define SMALL(c) [c] = (c) + 32
#define FOUR_SMALL(c) SMALL(c), SMALL(c + 1), SMALL(c + 2), SMALL(c + 3)
/* What a byte of a label becomes: itself or its small letter; 0 for one that no host name has. */
static const uint8_t FOLDED[256] = {
    FOUR('0'), FOUR('4'), SAME('8'), SAME('9'), SAME('-'), SAME('_'),
    FOUR('a'), FOUR('e'), FOUR('i'), FOUR('m'), FOUR('q'), FOUR('u'), SAME('y'), SAME('z'),
    FOUR_SMALL('A'), FOUR_SMALL('E'), FOUR_SMALL('I'), FOUR_SMALL('M'), FOUR_SMALL('Q'), FOUR_SMALL('U'), SMALL('Y'),
    SMALL('Z'),
};

static void append_label(name_t *name, const uint8_t *label, uint8_t length) {
    uint8_t *to = name->wire + name->length;
    bool plain = true; /* not in `name`, which every byte that is written might be a part of */
    *to++ = length;
    for (uint8_t i = 0; i < length; i++) {
        uint8_t byte = FOLDED[label[i]];
        plain &= byte != 0;
        to[i] = byte ? byte : label[i];
    }
    name->plain &= plain;
    name->length = (uint16_t)(name->length + length + 1);
    name->labels++;
}

bool read_name(const uint8_t *data, size_t length, size_t offset, name_t *name, size_t *end) {
    size_t limit = offset, after = 0;
    int pointers = 0;
    name->length = 0;
    name->labels = 0;
    name->plain = true;
    for (;;) {
        if (offset >= length) return false;
        uint8_t size = data[offset];
        if (size == 0) {
            name->wire[name->length++] = 0;
            *end = after ? after : offset + 1;
            return true;
        }
        if (size >= 0xc0) { /* strictly backwards, and few: reading ends, and soon */
            if (offset + 1 >= length) return false;
            size_t target = (size_t)(size & 0x3f) << 8 | data[offset + 1];
            if (target >= limit || ++pointers > MOST_POINTERS) return false;
            if (!after) after = offset + 2;
            offset = limit = target;
            continue;
        }
        if (size > 63 || name->length + size + 2 > LONGEST_NAME || offset + 1 + size > length) return false;
        append_label(name, data + offset + 1, size);
        offset += 1 + (size_t)size;
    }
}

/* The OPT record that may follow the question: of the root, version 0, no option. */
static bool read_opt(const uint8_t *data, size_t length, query_t *query) {
    const uint8_t *opt = data + HEADER + query->question_length;
    if (opt + 11 != data + length) return false;
    if (opt[0] != 0 || get16(opt + 1) != TYPE_OPT || opt[6] != 0 || get16(opt + 9) != 0) return false;
    uint16_t size = get16(opt + 3);
    query->edns = true;
    query->dnssec_ok = opt[7] & 0x80;
    query->limit = size < SMALLEST_UDP ? SMALLEST_UDP : size > UDP_SIZE ? UDP_SIZE : size;
    return true;
}

bool read_query(const uint8_t *data, size_t length, query_t *query) {
    size_t end;
    if (length < HEADER + 5) return false;
    query->id = get16(data);
    query->flags = get16(data + 2);
    if (query->flags & 0xf800) return false; /* a response, or another opcode */
    if (get16(data + 4) != 1 || get16(data + 6) || get16(data + 8) || get16(data + 10) > 1) return false;
    if (!read_name(data, length, HEADER, &query->name, &end)) return false;
    if (end - HEADER != query->name.length || end + 4 > length) return false; /* a pointer in the question */
    query->qtype = get16(data + end);
    if (get16(data + end + 2) != 1) return false;
    if (query->qtype == TYPE_OPT || query->qtype == TYPE_IXFR || query->qtype == TYPE_AXFR) return false;
    query->question = data + HEADER;
    query->question_length = (uint16_t)(query->name.length + 4);
    query->edns = query->dnssec_ok = false;
    query->limit = SMALLEST_UDP;
    if (get16(data + 10)) return read_opt(data, length, query);
    return end + 4 == length;
}

bool read_record(const uint8_t *data, size_t length, size_t offset, record_t *record) {
    size_t end;
    if (!read_name(data, length, offset, &record->owner, &end) || end + 10 > length) return false;
    record->rtype = get16(data + end);
    record->rclass = get16(data + end + 2);
    record->ttl_offset = end + 4;
    record->ttl = get32(data + end + 4);
    record->rdata = end + 10;
    record->end = record->rdata + get16(data + end + 8);
    return record->end <= length;
}

bool same_name(const name_t *one, const name_t *other) {
    return one->length == other->length && memcmp(one->wire, other->wire, one->length) == 0;
}

void make_dotted(const name_t *name, dotted_t *dotted) {
    dotted->labels = name->labels;
    dotted->length = name->length < 2 ? 0 : (uint16_t)(name->length - 2);
    memcpy(dotted->text, name->wire + 1, dotted->length);
    for (unsigned at = 0, label = 0; label < name->labels; at += name->wire[at] + 1u, label++) {
        dotted->starts[label] = (uint8_t)at;
        if (at) dotted->text[at - 1] = '.';
    }
}

static size_t write_opt(uint8_t *out, const query_t *query, const parts_t *parts, size_t option_length) {
    out[0] = 0;
    put16(out + 1, TYPE_OPT);
    put16(out + 3, UDP_SIZE);
    out[5] = out[6] = 0;
    put16(out + 7, query->dnssec_ok ? 0x8000 : 0);
    put16(out + 9, (uint32_t)option_length);
    if (option_length) memcpy(out + 11, parts->option, option_length);
    return 11 + option_length;
}

size_t write_reply(uint8_t *out, const query_t *query, const parts_t *parts, size_t *body_at) {
    size_t head = (size_t)HEADER + query->question_length, option = parts->option_length, body = parts->body_length;
    size_t opt = query->edns ? 11 + option : 0;
    uint32_t flags = parts->flags | FLAG_QR | (query->flags & (FLAG_RD | FLAG_CD)) | (parts->rcode & 15u);
    bool fits = true;
    if (option && head + opt > query->limit) {
        option = 0;
        opt = query->edns ? 11 : 0;
    }
    if (head + body + opt > query->limit) { /* left out whole, and TC says so */
        flags |= FLAG_TC;
        body = 0;
        fits = false;
    }
    put16(out, query->id);
    put16(out + 2, flags);
    put16(out + 4, 1);
    put16(out + 6, fits ? parts->answers : 0);
    put16(out + 8, fits ? parts->authorities : 0);
    put16(out + 10, opt ? 1 : 0);
    memcpy(out + HEADER, query->question, query->question_length);
    if (body) memcpy(out + head, parts->body, body);
    *body_at = body ? head : 0;
    if (opt) write_opt(out + head + body, query, parts, option);
    return head + body + opt;
}
