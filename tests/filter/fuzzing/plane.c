/* Random and damaged packets, upstream answers, outcomes, tables and coded text through the plane's core, under
   sanitizers. fuzz ROUNDS SEED */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64url.h"
#include "huffman.h"
#include "plane.h"
#include "siphash.h"

enum { NAMES = 64, LONGEST = 1400 };

static uint64_t state;
static uint32_t draw(uint32_t sides) {
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % sides);
}

static const char *WORDS[] = {"a", "example", "jeu", "www", "ECOLE", "fr", "x-y", "_dns", "localhost", "com"};

static size_t put_name(uint8_t *out) {
    size_t at = 0;
    for (uint32_t labels = draw(6); labels > 0; labels--) {
        const char *word = WORDS[draw(10)];
        out[at] = (uint8_t)strlen(word);
        memcpy(out + at + 1, word, out[at]);
        at += 1u + out[at];
    }
    out[at++] = 0;
    return at;
}

static size_t damage(uint8_t *data, size_t length) {
    for (uint32_t times = draw(4); times > 0 && length > 0; times--) switch (draw(5)) {
        case 0: data[draw((uint32_t)length)] = (uint8_t)draw(256); break;
        case 1: data[draw((uint32_t)length)] ^= (uint8_t)(1 << draw(8)); break;
        case 2: length = draw((uint32_t)length + 1); break;
        case 3: if (length < LONGEST) data[length++] = (uint8_t)draw(256); break;
        default: data[draw((uint32_t)length)] = 0xc0; break;
        }
    return length;
}

static size_t make_query(uint8_t *out) {
    static const uint16_t types[] = {1, 28, 65, 16, 255, 5, 6, 41};
    memset(out, 0, HEADER);
    put16(out, draw(65536));
    put16(out + 2, draw(8) ? 0x0100 : draw(65536));
    put16(out + 4, 1);
    size_t at = HEADER + put_name(out + HEADER);
    put16(out + at, types[draw(8)]);
    put16(out + at + 2, 1);
    at += 4;
    if (draw(2)) {
        uint8_t opt[11] = {0, 0, 41, (uint8_t)draw(256), (uint8_t)draw(256), 0, 0, draw(2) ? 0x80 : 0, 0, 0, 0};
        memcpy(out + at, opt, 11);
        put16(out + 10, 1);
        at += 11;
    }
    return draw(4) ? at : damage(out, at);
}

/* An answer to a query: plausible records, sometimes with pointers anywhere. */
static size_t make_answer(const uint8_t *query, size_t length, uint8_t *out) {
    static const uint16_t types[] = {1, 28, 5, 6, 65, 2, 46, 41};
    size_t end = 0;
    name_t name;
    if (length < HEADER + 5 || !read_name(query, length, HEADER, &name, &end) || end + 4 > length) return 0;
    memcpy(out, query, end + 4);
    put16(out + 2, 0x8180 | (draw(8) ? 0 : draw(65536)));
    uint16_t counts[3] = {(uint16_t)draw(5), (uint16_t)draw(3), (uint16_t)draw(3)};
    size_t at = end + 4;
    for (int section = 0; section < 3; section++) {
        put16(out + 6 + 2 * section, counts[section]);
        for (int i = 0; i < counts[section]; i++) {
            if (draw(4)) {
                put16(out + at, 0xc000 | (draw(4) ? HEADER : draw((uint32_t)at)));
                at += 2;
            } else at += put_name(out + at);
            uint16_t rtype = draw(3) ? get16(query + end) : types[draw(8)], size = rtype == 1 ? 4 : rtype == 28 ? 16 : 30;
            put16(out + at, rtype);
            put16(out + at + 2, draw(20) ? 1 : draw(65536));
            put32(out + at + 4, draw(3) ? 300 : draw(0xffffffff));
            put16(out + at + 8, draw(30) ? size : draw(300));
            for (int n = 0; n < size; n++) out[at + 10 + n] = (uint8_t)(draw(3) ? draw(4) : draw(256));
            at += 10u + size;
        }
    }
    return draw(3) ? at : damage(out, at);
}

static outcome_t *make_outcome(void) {
    uint8_t content[512];
    size_t length = 36;
    memset(content, 0, sizeof content);
    content[0] = (uint8_t)draw(4);
    content[1] = (uint8_t)draw(4);
    content[4] = (uint8_t)draw(80);
    content[8] = (uint8_t)draw(256);
    memset(content + 12, 0x7f, 16);
    if (content[0] == OUTCOME_REPLY || !draw(8))
        for (content[2] = draw(2) ? 1 : 3; length < 36u + content[2] * 60u; length += 60) {
            uint8_t *head = content + length;
            head[0] = (uint8_t)draw(16);
            head[2] = (uint8_t)draw(4);
            head[6] = 32, head[8] = 10, head[10] = 1;
            head[12 + 42] = (uint8_t)draw(29);
        }
    return outcome_read(content, draw(6) ? length : damage(content, length));
}

typedef struct {
    uint8_t fanout[4 * 17], hashes[8 * NAMES], set_ids[2 * NAMES], addresses[32 + 24 * 4];
} file_t;

static int by_hash(const void *one, const void *other) {
    uint64_t a = sip_load(one), b = sip_load(other);
    return a < b ? -1 : a > b;
}

/* Tables that fit together, or lie. */
static policy_t *make_policy(file_t *file, bool lies) {
    policy_t *policy = calloc(1, sizeof *policy);
    names_t *names = &policy->names;
    for (int i = 0; i < NAMES; i++) {
        uint8_t wire[256];
        size_t length = put_name(wire), end;
        name_t name;
        dotted_t dotted;
        read_name(wire, length, 0, &name, &end);
        make_dotted(&name, &dotted);
        uint64_t hash = siphash13(names->key, dotted.text, dotted.length);
        memcpy(file->hashes + 8 * i, &hash, 8);
        file->set_ids[2 * i] = (uint8_t)draw(10);
    }
    qsort(file->hashes, NAMES, 8, by_hash);
    for (uint32_t bucket = 0, at = 0; bucket <= 16; bucket++) {
        while (at < NAMES && sip_load(file->hashes + 8 * at) >> 60 < bucket) at++;
        uint32_t start = bucket == 16 ? NAMES : at;
        memcpy(file->fanout + 4 * bucket, &start, 4);
    }
    for (size_t i = 0; i < sizeof file->addresses; i++) file->addresses[i] = (uint8_t)draw(256);
    if (lies) for (size_t i = 0; i < sizeof file->fanout; i++) file->fanout[i] = (uint8_t)draw(256);
    names->fanout = file->fanout, names->hashes = file->hashes, names->set_ids = file->set_ids;
    names->names = NAMES, names->sets = 8, names->fanout_bits = 4, names->set_id_size = 2;
    policy->addresses = (addresses_t){file->addresses, draw(2) ? sizeof file->addresses : draw(33)};
    policy->profiles = 2;
    policy->moments = calloc(2, sizeof *policy->moments);
    uint8_t network[48] = {[10] = 0xff, [11] = 0xff, [12] = 10, [16] = 104, [20] = 1, [24] = 0x20, [40] = 7, [44] = 9};
    networks_make(&policy->networks, network, sizeof network, 0);
    for (int i = 0; i < 2; i++) {
        moment_t *moment = policy->moments[i] = calloc(1, sizeof *moment);
        uint64_t spoken[2] = {siphash13(names->key, (const uint8_t *)"localhost", 9), draw(0xffffffff)};
        moment->number = 1 + draw(1000);
        moment->until = INT64_MAX;
        moment->flags = draw(5) ? 0 : draw(8);
        hashes_make(&moment->spoken, (const uint8_t *)spoken, 2);
        while ((moment->silent = make_outcome()) == NULL) {}
    }
    return policy;
}

static void teach(plane_t *plane, const uint8_t *packet, size_t length, const outlook_t *outlook, int became) {
    query_t query;
    outcome_t *outcome = make_outcome();
    tuple_t tuple = {.count = (uint8_t)(1 + draw(MOST_SETS)), .itself = draw(2)};
    if (outcome == NULL) return;
    for (int i = 0; i < tuple.count; i++) tuple.ids[i] = draw(10);
    if (draw(2)) teach_sets(plane, draw(3), plane->policy->moments[draw(2)]->number, &tuple, outcome);
    else if (read_query(packet, length, &query)) teach_name(plane, plane->policy->moments[draw(2)]->number, &query, outcome);
    else free(outcome);
    (void)outlook;
    (void)became;
}

/* Any bytes, most of them such as the texts of headers have; both ends are where memory ends. */
static void read_text(void) {
    static const char *often[] = {"AZaz059-_QWERTY8", "\x1f\x18\xff\xff\xfe\xff\x62\x81\xff\x3f\x7f\xff\x99\xd5\xf8\xff"};
    bool coded = draw(2);
    size_t length = draw(60), room = draw(100);
    uint8_t *data = malloc(length + !length), *out = malloc(room + !room);
    for (size_t i = 0; i < length; i++) data[i] = draw(40) ? (uint8_t)often[coded][draw(16)] : (uint8_t)draw(256);
    ptrdiff_t written = coded ? huffman_read(data, length, out, room) : base64url_read(data, length, out, room);
    if (written > (ptrdiff_t)room || written > (ptrdiff_t)(length * 8 / 5)) abort();
    free(data);
    free(out);
}

int main(int count, char **arguments) {
    long rounds = count > 1 ? atol(arguments[1]) : 100000;
    state = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    uint8_t key[16] = {0};
    file_t *file = calloc(1, sizeof *file);
    plane_t *plane = plane_make(20000, key);
    plane->counting.counts_names = true;
    plane->policy = make_policy(file, false);
    long became[16] = {0};
    for (long i = 0; i < rounds; i++) {
        size_t length = LONGEST, out_length = 0, message_length;
        uint8_t made[2 * LONGEST], *packet, *message, out[LARGEST_REPLY];
        length = make_query(made);
        packet = malloc(length + !length); /* of its very size, so that a byte beyond is seen */
        memcpy(packet, made, length);
        asked_t asked = {packet, length, {{0}}, "10.0.0.1", (int64_t)i * 1000000, (int64_t)i * 100000};
        for (int n = 0; n < 16; n++) asked.client.bytes[n] = (uint8_t)(draw(3) ? 0 : draw(256));
        outlook_t outlook = {.answer = NULL};
        plane->limits.rate = draw(50) ? 0 : 1;
        if (plane_admit(plane, &asked.client, asked.clock) == SLIPPED) write_cut(packet, length, out);
        plane_look(plane, &asked, &outlook);
        plane_look_closer(plane, &outlook);
        int what = plane_answer(plane, &asked, NULL, out, &out_length, &outlook);
        became[what]++;
        if (out_length > LARGEST_REPLY) abort();
        if (what == MISSED || draw(10) == 0) {
            message_length = make_answer(packet, length, made);
            message = malloc(message_length + !message_length);
            memcpy(message, made, message_length);
            query_t query;
            if (read_query(packet, length, &query)) {
                answer_t *answer = answer_make(message, message_length, &query.name, query.qtype, key_flags(&query));
                if (answer != NULL) {
                    outlook_t again = {.answer = NULL};
                    answer->stored = asked.clock;
                    plane_look(plane, &asked, &again);
                    became[plane_answer(plane, &asked, answer, out, &out_length, &again)]++;
                    uint64_t hash = answers_hash(&plane->answers, &query.name, query.qtype, key_flags(&query));
                    answers_put(&plane->answers, answer, hash, asked.clock);
                }
            }
            free(message);
        }
        teach(plane, packet, length, &outlook, what);
        read_text();
        free(packet);
        if (draw(500) == 0) {
            policy_free(plane->policy);
            plane->policy = make_policy(file, draw(3) == 0);
        }
        if (draw(2000) == 0) free_names(take_names(&plane->counting));
    }
    for (int i = 0; i < 16; i++) printf("%ld ", became[i]);
    printf("\n");
    plane_free(plane);
    free(file);
    return 0;
}
