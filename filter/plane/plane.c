/* See plane.h. The order of plane_answer is that of filter/serving/handler.py. */
#include "plane.h"

#include <stdlib.h>
#include <string.h>

plane_t *plane_make(size_t cache_bytes, const uint8_t key[16]) {
    plane_t *plane = calloc(1, sizeof *plane);
    if (plane == NULL) return NULL;
    if (!answers_make(&plane->answers, cache_bytes, key) || !counting_make(&plane->counting) ||
        !limits_make(&plane->limits, key)) {
        answers_free(&plane->answers);
        counting_free(&plane->counting);
        limits_free(&plane->limits);
        free(plane);
        return NULL;
    }
    pthread_mutex_init(&plane->lock, NULL);
    return plane;
}

void plane_free(plane_t *plane) {
    policy_free(plane->policy);
    answers_free(&plane->answers);
    counting_free(&plane->counting);
    limits_free(&plane->limits);
    for (size_t i = 0; i < DECIDED_PLACES; i++)
        if (plane->decided[i] != NULL) {
            free(plane->decided[i]->outcome);
            free(plane->decided[i]);
        }
    pthread_mutex_destroy(&plane->lock);
    free(plane);
}

static size_t decided_place(uint64_t hash, uint64_t moment) {
    return (size_t)((hash ^ moment * 0x9e3779b97f4a7c15u) % DECIDED_PLACES);
}

static outcome_t *find_decided(const plane_t *plane, uint64_t moment, const outlook_t *outlook) {
    const query_t *query = &outlook->query;
    const decided_t *found = plane->decided[decided_place(outlook->hash, moment)];
    bool same = found != NULL && found->moment == moment && found->qtype == query->qtype &&
                found->flags == key_flags(query) && found->length == query->name.length &&
                memcmp(found->name, query->name.wire, found->length) == 0;
    return same ? found->outcome : NULL;
}

static const client_t *find_client(policy_t *policy, const address_t *address) {
    uint64_t halves[2];
    int bits;
    memcpy(halves, address->bytes, 16);
    client_t *client = &policy->clients[((halves[0] ^ halves[1]) * 0x9e3779b97f4a7c15u >> 32) % CLIENT_PLACES];
    if (client->is_known && memcmp(&client->address, address, sizeof *address) == 0) return client;
    uint32_t profile = find_profile(&policy->networks, address, &bits);
    *client = (client_t){*address, profile, (int16_t)bits, true};
    return client;
}

/* What was decided in the moment that holds, or NULL. */
static const moment_t *find_moment(const policy_t *policy, uint32_t profile, const asked_t *asked) {
    const moment_t *moment = profile < policy->profiles ? policy->moments[profile] : NULL;
    return moment != NULL && moment->since <= asked->wall && asked->wall < moment->until ? moment : NULL;
}

/* As filter/serving/handler.py most_ttl. */
static uint32_t most_ttl(const moment_t *moment, const outcome_t *outcome, int64_t wall) {
    int64_t left = (moment->until - wall) / 1000000;
    return left < (int64_t)outcome->most_ttl ? (uint32_t)(left > 0 ? left : 0) : outcome->most_ttl;
}

typedef struct {
    plane_t *plane;
    const asked_t *asked;
    const moment_t *moment;
    outlook_t *outlook;
    uint8_t *out;
    size_t *out_length;
} answering_t;

static void count_answered(const answering_t *a, const outcome_t *outcome) {
    counting_t *counting = &a->plane->counting;
    naming_t naming = {&a->outlook->name, a->outlook->name_hash, a->moment->slug, a->outlook->query.qtype};
    count_name(counting, &naming, a->asked->client_text);
    count_class(counting, outcome->class_number, a->asked->wall);
    if (outcome->flags & COUNTS_CACHE_HIT) counting->hits++;
}

static bool is_wanted_whole(const answering_t *a) { return a->asked->whole && get16(a->out + 2) & FLAG_TC; }

/* By what was decided without looking an answer up. */
static int finish(const answering_t *a, const outcome_t *outcome) {
    bool drops = outcome->kind == OUTCOME_DROP;
    if (outcome->kind == OUTCOME_PYTHON) return HANDED_PYTHON;
    if (!drops) *a->out_length = outcome_reply(outcome, &a->outlook->query, a->asked->clock, a->out);
    if (!drops && is_wanted_whole(a)) return HANDED_PYTHON;
    count_answered(a, outcome);
    return drops ? DROPPED : ANSWERED;
}

/* An allowed name: its answer, if there is one that is fresh and leads nowhere it must not. */
static int look_up(const answering_t *a, const outcome_t *outcome, answer_t *fresh) {
    plane_t *plane = a->plane;
    outlook_t *outlook = a->outlook;
    const query_t *query = &outlook->query;
    answer_t *found = fresh ? fresh : answers_find(&plane->answers, outlook->hash, &query->name, query->qtype, key_flags(query));
    int missed = outcome->flags & ASKS_PYTHONS_RESOLVERS ? HANDED_UPSTREAM : MISSED;
    if (found == NULL) return missed;
    uint32_t age = fresh ? 0 : answer_age(found, a->asked->clock);
    outlook->answer = found;
    if (!fresh && age >= found->ttl) return missed;
    if (!answer_passed(found, a->moment->number)) {
        const outcome_t *stopped = find_decided(plane, a->moment->number, outlook);
        if (stopped != NULL && stopped->kind != OUTCOME_ALLOW &&
            outcome_holds(stopped, a->asked->wall, a->asked->clock))
            return finish(a, stopped);
        if (!passes_review(plane->policy, a->moment, query, found)) return HANDED_REVIEW;
        answer_pass(found, a->moment->number);
    }
    *a->out_length = answer_reply(found, query, age, most_ttl(a->moment, outcome, a->asked->wall), a->out);
    if (is_wanted_whole(a)) return HANDED_PYTHON;
    *(fresh ? &plane->counting.misses : &plane->counting.hits) += 1;
    outlook->is_due = !fresh && missed == MISSED && ++found->hits > HOT_HITS && found->ttl >= SHORTEST_PREFETCH &&
                      10 * (uint64_t)age >= 9 * (uint64_t)found->ttl;
    count_answered(a, outcome);
    return ANSWERED;
}

int plane_admit(plane_t *plane, const address_t *client, int64_t clock) {
    if (plane->limits.rate == 0 || plane->policy == NULL) return ADMITTED;
    return admit(&plane->limits, client, find_client(plane->policy, client)->bits, clock);
}

void plane_look(plane_t *plane, const asked_t *asked, outlook_t *outlook) {
    query_t *query = &outlook->query;
    outlook->answer = NULL;
    outlook->is_due = false;
    outlook->become = DROPPED;
    if (asked->length < HEADER || asked->data[2] & 0x80) return;
    outlook->become = HANDED_ODD;
    if (plane->policy == NULL || !read_query(asked->data, asked->length, query)) return;
    if (query->qtype == TYPE_ANY || !query->name.plain || query->name.labels < 2) return;
    outlook->become = ANSWERED;
    outlook->profile = find_client(plane->policy, &asked->client)->profile;
    make_dotted(&query->name, &outlook->name);
    hash_suffixes(&plane->policy->names, &outlook->name, outlook->suffixes);
    outlook->name_hash = answers_name_hash(&plane->answers, &query->name);
    outlook->hash = answers_key_hash(outlook->name_hash, query->qtype, key_flags(query));
    answers_expect(&plane->answers, outlook->hash);
    names_expect(&plane->counting, outlook->name_hash);
}

void plane_look_closer(const plane_t *plane, const outlook_t *outlook) {
    if (outlook->become != ANSWERED) return;
    for (unsigned i = 0; i < outlook->name.labels; i++)
        sets_expect_entries(&plane->policy->names, outlook->suffixes[i]);
    answers_expect_entry(&plane->answers, outlook->hash);
}

int plane_answer(plane_t *plane, const asked_t *asked, answer_t *fresh, uint8_t *out, size_t *out_length,
                 outlook_t *outlook) {
    const policy_t *policy = plane->policy;
    tuple_t tuple;
    outcome_t *outcome = NULL;
    if (outlook->become == DROPPED) plane->counting.no_query++;
    if (outlook->become != ANSWERED) return outlook->become;
    const moment_t *moment = find_moment(policy, outlook->profile, asked);
    if (moment == NULL) return HANDED_MOMENT;
    answering_t answering = {plane, asked, moment, outlook, out, out_length};
    int said = moment->flags & LESSON_RUNS
                   ? SPOKEN_OF
                   : judge_name(policy, moment, outlook->suffixes, outlook->name.labels, &tuple, &outcome);
    switch (said) {
    case SAID_NOTHING: outcome = moment->silent; break;
    case SAID_UNKNOWN: return HANDED_SETS;
    case SPOKEN_OF:
        outcome = find_decided(plane, moment->number, outlook);
        if (outcome == NULL || !outcome_holds(outcome, asked->wall, asked->clock)) return HANDED_NAME;
        break;
    default: break;
    }
    if (outcome->kind == OUTCOME_ALLOW) return look_up(&answering, outcome, fresh);
    return finish(&answering, outcome);
}

bool teach_name(plane_t *plane, uint64_t moment, const query_t *query, outcome_t *outcome) {
    uint64_t hash = answers_hash(&plane->answers, &query->name, query->qtype, key_flags(query));
    decided_t **place = &plane->decided[decided_place(hash, moment)];
    if (*place == NULL) *place = calloc(1, sizeof **place);
    if (*place == NULL) {
        free(outcome);
        return false;
    }
    free((*place)->outcome);
    (*place)->moment = moment;
    (*place)->outcome = outcome;
    (*place)->qtype = query->qtype;
    (*place)->flags = key_flags(query);
    (*place)->length = query->name.length;
    memcpy((*place)->name, query->name.wire, query->name.length);
    return true;
}
