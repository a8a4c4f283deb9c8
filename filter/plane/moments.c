/* What holds for profiles, and the table of what is said of sets of list entries. See plane.h. */
#include <stdlib.h>
#include <string.h>

#include "plane.h"

void moment_free(moment_t *moment) {
    if (moment == NULL) return;
    for (size_t i = 0; i < moment->judged_places; i++) free(moment->judged[i].outcome);
    free(moment->judged);
    free(moment->silent);
    hashes_free(&moment->spoken);
    free(moment);
}

void policy_free(policy_t *policy) {
    if (policy == NULL) return;
    for (uint32_t i = 0; policy->moments != NULL && i < policy->profiles; i++) moment_free(policy->moments[i]);
    free(policy->moments);
    networks_free(&policy->networks);
    free(policy);
}

static bool same_tuple(const tuple_t *one, const tuple_t *other) {
    return one->count == other->count && one->itself == other->itself &&
           memcmp(one->ids, other->ids, one->count * sizeof one->ids[0]) == 0;
}

/* Where a tuple is, or would be: never more than half of the places are taken. */
static judged_t *find_place(judged_t *judged, size_t places, const tuple_t *tuple) {
    uint64_t hash = tuple->itself;
    for (int i = 0; i < tuple->count; i++) hash = (hash ^ tuple->ids[i]) * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash >> 32) & (places - 1);
    while (judged[at].outcome != NULL && !same_tuple(&judged[at].tuple, tuple)) at = (at + 1) & (places - 1);
    return &judged[at];
}

outcome_t *find_judged(const moment_t *moment, const tuple_t *tuple) {
    return moment->judged_places ? find_place(moment->judged, moment->judged_places, tuple)->outcome : NULL;
}

static bool grow(moment_t *moment) {
    size_t places = moment->judged_places ? 2 * moment->judged_places : 64;
    judged_t *grown = calloc(places, sizeof *grown);
    if (grown == NULL) return false;
    for (size_t i = 0; i < moment->judged_places; i++)
        if (moment->judged[i].outcome != NULL) *find_place(grown, places, &moment->judged[i].tuple) = moment->judged[i];
    free(moment->judged);
    moment->judged = grown;
    moment->judged_places = places;
    return true;
}

/* All at once: more tuples than this come from a file that is made to have them, and are worked out again. */
static void forget_judged(moment_t *moment) {
    for (size_t i = 0; i < moment->judged_places; i++) {
        free(moment->judged[i].outcome);
        moment->judged[i].outcome = NULL;
    }
    moment->judged_count = 0;
}

bool teach_sets(plane_t *plane, uint32_t profile, uint64_t number, const tuple_t *tuple, outcome_t *outcome) {
    policy_t *policy = plane->policy;
    moment_t *moment = policy != NULL && profile < policy->profiles ? policy->moments[profile] : NULL;
    if (moment == NULL || moment->number != number) { /* it is over */
        free(outcome);
        return false;
    }
    if (moment->judged_count >= MOST_TUPLES) forget_judged(moment);
    if (2 * (moment->judged_count + 1) > moment->judged_places && !grow(moment)) {
        free(outcome);
        return false;
    }
    judged_t *place = find_place(moment->judged, moment->judged_places, tuple);
    moment->judged_count += place->outcome == NULL;
    free(place->outcome);
    *place = (judged_t){*tuple, outcome};
    return true;
}
