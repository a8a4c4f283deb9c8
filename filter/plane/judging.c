/* What is said of a name, and the review of where an answer leads (filter/policy.py review_answer): passed or doubtful,
   and what is doubtful is Python's. */
#include <string.h>

#include "plane.h"
#include "siphash.h"

/* False when lists are not all that is said of the name, or say too much of it. */
static bool collect_sets(const policy_t *policy, const moment_t *moment, const uint64_t *suffixes, unsigned labels,
                         tuple_t *tuple) {
    tuple->count = 0;
    tuple->itself = false;
    for (unsigned i = 0; i < labels; i++) {
        if (hashes_hold(&moment->spoken, suffixes[i])) return false;
        int64_t set_id = find_set(&policy->names, suffixes[i]);
        if (set_id == NO_SET) continue;
        if (tuple->count == MOST_SETS) return false;
        if (i == 0) tuple->itself = true;
        tuple->ids[tuple->count++] = (uint32_t)set_id;
    }
    return true;
}

void hash_suffixes(const names_t *names, const dotted_t *name, uint64_t *suffixes) {
    for (unsigned i = 0; i < name->labels; i++) {
        unsigned start = name->starts[i];
        suffixes[i] = siphash13(names->key, name->text + start, name->length - start);
        sets_expect(names, suffixes[i]);
    }
}

int judge_name(const policy_t *policy, const moment_t *moment, const uint64_t *suffixes, unsigned labels, tuple_t *tuple,
               outcome_t **said) {
    if (moment->flags & EVERY_NAME_IS_SPOKEN_OF) return SPOKEN_OF;
    if (!collect_sets(policy, moment, suffixes, labels, tuple)) return SPOKEN_OF;
    if (tuple->count == 0) return SAID_NOTHING;
    *said = find_judged(moment, tuple);
    return *said == NULL ? SAID_UNKNOWN : SAID;
}

/* Whether nothing stands against a name that an answer leads to. */
static bool may_lead_to(const policy_t *policy, const moment_t *moment, const name_t *name) {
    dotted_t dotted;
    tuple_t tuple;
    outcome_t *said;
    uint64_t suffixes[MOST_LABELS];
    if (!name->plain) return false;
    make_dotted(name, &dotted);
    hash_suffixes(&policy->names, &dotted, suffixes);
    int found = judge_name(policy, moment, suffixes, dotted.labels, &tuple, &said);
    return found == SAID_NOTHING || (found == SAID && said->kind == OUTCOME_ALLOW);
}

typedef struct {
    const policy_t *policy;
    const moment_t *moment;
    const uint8_t *data;
    size_t length;
    bool in_answer; /* names are judged there only, addresses everywhere */
} review_t;

static bool address_passes(const review_t *review, size_t offset, size_t size) {
    const uint8_t *packed = review->data + offset;
    if (review->moment->flags & ADDRESSES_ARE_PYTHONS) return false;
    return !is_doubtful(packed, size) && !is_listed(&review->policy->addresses, packed, size);
}

static bool target_passes(const review_t *review, size_t offset, const record_t *record, size_t *end) {
    name_t target;
    if (!read_name(review->data, review->length, offset, &target, end) || *end > record->end) return false;
    return !review->in_answer || target.labels == 0 || may_lead_to(review->policy, review->moment, &target);
}

/* An SVCB or HTTPS record: priority, target, parameters of which hints 4 and 6 hold addresses (RFC 9460). */
static bool service_passes(const review_t *review, const record_t *record) {
    size_t offset;
    if (record->rdata + 3 > record->end || !target_passes(review, record->rdata + 2, record, &offset)) return false;
    while (offset + 4 <= record->end) {
        uint16_t key = get16(review->data + offset), length = get16(review->data + offset + 2);
        size_t size = key == 4 ? 4 : 16;
        offset += 4;
        if (offset + length > record->end) return false;
        if (key == 4 || key == 6) {
            if (length % size) return false;
            for (size_t at = 0; at < length; at += size)
                if (!address_passes(review, offset + at, size)) return false;
        }
        offset += length;
    }
    return offset == record->end;
}

static bool data_passes(const review_t *review, const record_t *record) {
    size_t end, size = record->end - record->rdata;
    if (record->rclass != 1) return true;
    switch (record->rtype) {
    case TYPE_A: return size == 4 && address_passes(review, record->rdata, 4);
    case TYPE_AAAA: return size == 16 && address_passes(review, record->rdata, 16);
    case TYPE_HTTPS:
    case TYPE_SVCB: return service_passes(review, record);
    case TYPE_CNAME:
    case TYPE_DNAME: return !review->in_answer || target_passes(review, record->rdata, record, &end);
    default: return true;
    }
}

bool passes_review(const policy_t *policy, const moment_t *moment, const query_t *query, const answer_t *answer) {
    const uint8_t *data = answer_message(answer);
    review_t review = {.policy = policy, .moment = moment, .data = data, .length = answer->length};
    size_t offset = answer->body;
    record_t record;
    for (int section = 0; section < 3; section++) {
        review.in_answer = section == 0;
        for (int left = get16(data + 6 + 2 * section); left > 0; left--) {
            if (!read_record(data, answer->length, offset, &record)) return false;
            offset = record.end;
            bool known = same_name(&record.owner, &query->name) || record.owner.labels == 0;
            if (review.in_answer && !known && !may_lead_to(policy, moment, &record.owner)) return false;
            if (!data_passes(&review, &record)) return false;
        }
    }
    return true;
}
