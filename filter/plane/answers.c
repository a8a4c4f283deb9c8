/* See answers.h. An answer that filter/serving/resolving/scrubbing.py would write anew is refused. */
#include "answers.h"

#include <stdlib.h>
#include <string.h>

#include "siphash.h"

enum { BUCKETS_PER_MEBIBYTE = 4096, OVERHEAD = 32, MOST_ALIASES = 8, MOST_CHANCES = 64, LINES_OF_AN_ENTRY = 3 };

bool answers_make(answers_t *answers, size_t most_bytes, const uint8_t key[16]) {
    uint64_t buckets = 1024;
    memset(answers, 0, sizeof *answers);
    while (buckets < (most_bytes >> 20) * BUCKETS_PER_MEBIBYTE) buckets *= 2;
    answers->mask = buckets - 1;
    answers->most_bytes = most_bytes;
    memcpy(answers->key, key, 16);
    answers->buckets = calloc(buckets, sizeof *answers->buckets);
    return answers->buckets != NULL;
}

void answers_free(answers_t *answers) {
    for (answer_t *older, *each = answers->newest; each != NULL; each = older) {
        older = each->older;
        free(each);
    }
    free(answers->buckets);
    answers->buckets = NULL;
}

uint8_t key_flags(const query_t *query) {
    return (query->dnssec_ok ? KEY_DNSSEC_OK : 0) | (query->flags & FLAG_CD ? KEY_CHECKING_DISABLED : 0);
}

uint64_t answers_name_hash(const answers_t *answers, const name_t *name) {
    return siphash13(answers->key, name->wire, name->length);
}

static size_t cost(const answer_t *answer) { return fixed_size(answer->ttl_count) + answer->length + OVERHEAD; }

/* RFC 2181 8: a TTL with the highest bit set is zero. */
static uint32_t clamp(uint32_t ttl, uint32_t most) { return ttl >> 31 ? 0 : ttl < most ? ttl : most; }

/* What is learnt by reading a message from end to end. */
typedef struct {
    name_t chain[MOST_ALIASES + 1]; /* the name that was asked for, then every alias that the answer leads through */
    uint16_t qtype, answers, authorities, ttl_count;
    uint8_t flags, aliases;
    bool has_type, has_ns, has_soa;
    bool is_cut; /* is_cut: some record of the authority section goes, so all behind it have to */
    uint32_t least, negative;
    size_t body_end;
    kept_ttl_t ttls[MOST_TTLS];
} reading_t;

static bool keep_record(reading_t *reading, const record_t *record) {
    if (reading->ttl_count == MOST_TTLS) return false;
    kept_ttl_t *kept = &reading->ttls[reading->ttl_count++];
    *kept = (kept_ttl_t){(uint16_t)record->ttl_offset, clamp(record->ttl, LONGEST_TTL)};
    reading->body_end = record->end;
    return true;
}

/* An answer is a chain of aliases in their order, then records of the type that was asked for. */
static bool take_answer(const uint8_t *data, size_t length, const record_t *record, reading_t *reading) {
    uint32_t ttl = clamp(record->ttl, LONGEST_TTL);
    name_t *last = &reading->chain[reading->aliases];
    size_t end;
    reading->answers++;
    if (ttl < reading->least) reading->least = ttl;
    if (record->rclass != 1 || !same_name(&record->owner, last) || !keep_record(reading, record)) return false;
    if (record->rtype == reading->qtype) return reading->has_type = true;
    if (record->rtype != TYPE_CNAME || reading->has_type || reading->aliases == MOST_ALIASES) return false;
    if (!read_name(data, length, record->rdata, last + 1, &end) || end > record->end) return false;
    for (int i = 0; i <= reading->aliases; i++)
        if (same_name(&reading->chain[i], last + 1)) return false;
    reading->aliases++;
    return true;
}

static bool is_at_or_above(const name_t *owner, const name_t *name) {
    const uint8_t *at = name->wire, *end = name->wire + name->length;
    while (end - at > owner->length) at += *at + 1;
    return end - at == owner->length && memcmp(at, owner->wire, owner->length) == 0;
}

/* Of the authority section stays the SOA of a negative answer (RFC 2308). Proofs are for Python. */
static bool take_authority(const uint8_t *data, const record_t *record, reading_t *reading) {
    reading->has_ns |= record->rtype == TYPE_NS;
    reading->has_soa |= record->rtype == TYPE_SOA;
    bool is_proof = record->rtype == TYPE_RRSIG || record->rtype == TYPE_NSEC || record->rtype == TYPE_NSEC3;
    if (is_proof && (reading->flags & KEY_DNSSEC_OK)) return false;
    bool kept = record->rtype == TYPE_SOA && record->rclass == 1 && !reading->has_type &&
                is_at_or_above(&record->owner, &reading->chain[reading->aliases]);
    if (!kept) return reading->is_cut = true;
    if (reading->is_cut || !keep_record(reading, record)) return false;
    if (reading->authorities++ == 0 && record->end - record->rdata >= 22) {
        uint32_t minimum = clamp(get32(data + record->end - 4), LONGEST_NEGATIVE_TTL);
        uint32_t own = clamp(record->ttl, LONGEST_NEGATIVE_TTL);
        reading->negative = own < minimum ? own : minimum;
    }
    return true;
}

/* Answers, authorities, additions. A response code that an OPT record makes larger is for Python. */
static bool read_sections(const uint8_t *data, size_t length, size_t offset, reading_t *reading) {
    record_t record;
    for (int section = 0; section < 3; section++)
        for (int left = get16(data + 6 + 2 * section); left > 0; left--) {
            if (!read_record(data, length, offset, &record)) return false;
            offset = record.end;
            if (section == 0 && !take_answer(data, length, &record, reading)) return false;
            if (section == 1 && !take_authority(data, &record, reading)) return false;
            if (section == 2 && record.rtype == TYPE_OPT && record.ttl >> 24) return false;
        }
    return true;
}

static bool is_about(const uint8_t *data, size_t length, const name_t *name, uint16_t qtype, size_t *end) {
    name_t asked;
    if (length < HEADER || length > LARGEST_ANSWER || get16(data + 4) != 1) return false;
    if ((get16(data + 2) & (FLAG_QR | 0x7800 | FLAG_TC)) != FLAG_QR) return false;
    if (!read_name(data, length, HEADER, &asked, end) || *end - HEADER != asked.length || *end + 4 > length) return false;
    if (get16(data + *end) != qtype || get16(data + *end + 2) != 1) return false;
    *end += 4;
    return same_name(&asked, name);
}

static answer_t *copy(const uint8_t *data, size_t length, const reading_t *reading) {
    uint16_t ttl_count = reading->ttl_count;
    answer_t *answer = malloc(fixed_size(ttl_count) + length);
    if (answer == NULL) return NULL;
    memset(answer, 0, offsetof(answer_t, ttls));
    if (ttl_count) memcpy(answer->ttls, reading->ttls, ttl_count * sizeof(kept_ttl_t));
    answer->ttl_count = ttl_count;
    answer->length = (uint16_t)length;
    uint8_t *message = (uint8_t *)answer + fixed_size(ttl_count);
    memcpy(message, data, length);
    memcpy(message + HEADER, reading->chain[0].wire, reading->chain[0].length); /* folded: it is the key */
    return answer;
}

answer_t *answer_make(const uint8_t *data, size_t length, const name_t *name, uint16_t qtype, uint8_t flags) {
    reading_t reading;
    size_t start;
    memset(&reading, 0, offsetof(reading_t, ttls));
    if (!is_about(data, length, name, qtype, &start)) return NULL;
    reading.chain[0] = *name;
    reading.qtype = qtype;
    reading.flags = flags;
    reading.least = LONGEST_TTL;
    reading.body_end = start;
    uint8_t rcode = data[3] & 15;
    if ((rcode != 0 && rcode != 3) || !read_sections(data, length, start, &reading)) return NULL;
    if (rcode == 0 && reading.answers == 0 && reading.has_ns && !reading.has_soa) return NULL; /* a referral */
    answer_t *answer = copy(data, length, &reading);
    if (answer == NULL) return NULL;
    bool positive = rcode == 0 && reading.has_type;
    answer->ttl = positive || reading.negative > reading.least ? reading.least : reading.negative;
    answer->body = (uint16_t)start;
    answer->body_end = (uint16_t)reading.body_end;
    answer->answers = reading.answers;
    answer->authorities = reading.authorities;
    answer->rcode = rcode;
    answer->flags = flags;
    answer->authenticated = get16(data + 2) & FLAG_AD;
    return answer;
}

static void pull(answers_t *answers, const answer_t *answer) {
    *(answer->newer ? &answer->newer->older : &answers->newest) = answer->older;
    *(answer->older ? &answer->older->newer : &answers->oldest) = answer->newer;
}

static void forget(answers_t *answers, answer_t *answer) {
    answer_t **link = &answers->buckets[answer->hash & answers->mask];
    while (*link != answer) link = &(*link)->next;
    *link = answer->next;
    pull(answers, answer);
    answers->bytes -= cost(answer);
    answers->count--;
    free(answer);
}

static void push(answers_t *answers, answer_t *answer) {
    answer->newer = NULL;
    answer->older = answers->newest;
    *(answers->newest ? &answers->newest->newer : &answers->oldest) = answer;
    answers->newest = answer;
}

/* Few have another chance at a time: nobody waits for long. */
static void make_room(answers_t *answers) {
    for (int chances = MOST_CHANCES; answers->bytes > answers->most_bytes && answers->oldest != NULL;) {
        answer_t *oldest = answers->oldest;
        if (!oldest->was_used || chances-- <= 0) {
            forget(answers, oldest);
            continue;
        }
        oldest->was_used = false;
        pull(answers, oldest);
        push(answers, oldest);
    }
}

static answer_t *lookup(const answers_t *answers, uint64_t hash, const name_t *name, uint16_t qtype, uint8_t flags) {
    for (answer_t *each = answers->buckets[hash & answers->mask]; each != NULL; each = each->next) {
        const uint8_t *question = answer_message(each) + HEADER;
        if (each->hash == hash && each->flags == flags && each->body == HEADER + name->length + 4 &&
            memcmp(question, name->wire, name->length) == 0 && get16(question + name->length) == qtype)
            return each;
    }
    return NULL;
}

void answers_put(answers_t *answers, answer_t *answer, uint64_t hash, int64_t now) {
    name_t name = {.length = (uint16_t)(answer->body - HEADER - 4)};
    const uint8_t *question = answer_message(answer) + HEADER;
    memcpy(name.wire, question, name.length);
    answer_t *before = lookup(answers, hash, &name, get16(question + name.length), answer->flags);
    if (before != NULL) forget(answers, before);
    if (answer->ttl == 0) {
        free(answer);
        return;
    }
    answer->hash = hash;
    answer->stored = now;
    answer->next = answers->buckets[hash & answers->mask];
    answers->buckets[hash & answers->mask] = answer;
    push(answers, answer);
    answers->bytes += cost(answer);
    answers->count++;
    make_room(answers);
}

answer_t *answers_find(answers_t *answers, uint64_t hash, const name_t *name, uint16_t qtype, uint8_t flags) {
    answer_t *found = lookup(answers, hash, name, qtype, flags);
    if (found != NULL) found->was_used = true;
    return found;
}

void answers_expect(const answers_t *answers, uint64_t hash) {
    __builtin_prefetch(&answers->buckets[hash & answers->mask]);
}

void answers_expect_entry(const answers_t *answers, uint64_t hash) {
    const uint8_t *entry = (const uint8_t *)answers->buckets[hash & answers->mask];
    for (int line = 0; entry != NULL && line < LINES_OF_AN_ENTRY; line++) __builtin_prefetch(entry + 64 * line);
}

uint32_t answer_age(const answer_t *answer, int64_t now) {
    return now > answer->stored ? (uint32_t)((now - answer->stored) / 1000000) : 0;
}

bool answer_passed(const answer_t *answer, uint64_t moment) {
    for (int i = 0; i < REVIEWS; i++)
        if (answer->passed[i] == moment) return true;
    return false;
}

void answer_pass(answer_t *answer, uint64_t moment) {
    answer->passed[answer->next_pass++ % REVIEWS] = moment;
}

size_t answer_reply(const answer_t *answer, const query_t *query, uint32_t age, uint32_t most_ttl, uint8_t *out) {
    const uint8_t *message = answer_message(answer);
    bool wants_ad = query->dnssec_ok || (query->flags & FLAG_AD);
    parts_t parts = {.body = message + answer->body, .body_length = (size_t)(answer->body_end - answer->body),
                     .answers = answer->answers, .authorities = answer->authorities, .rcode = answer->rcode,
                     .flags = FLAG_RA | (answer->authenticated && wants_ad ? FLAG_AD : 0)};
    size_t body_at, length = write_reply(out, query, &parts, &body_at);
    for (int i = 0; body_at && i < answer->ttl_count; i++) {
        const kept_ttl_t *kept = &answer->ttls[i];
        uint32_t seconds = kept->seconds > age ? kept->seconds - age : 0;
        put32(out + body_at + kept->offset - answer->body, seconds < most_ttl ? seconds : most_ttl);
    }
    return length;
}
