/* The plane: the answer to a plain query, from what Python said holds now; everything else goes to Python.

   Nothing is invented here. A policy (policy_t) is a set of views that Python installs; a moment (moment_t) is what
   holds for one profile during a stretch of time; both are replaced whole, under the lock, between two batches. */
#ifndef PREAU_PLANE_H
#define PREAU_PLANE_H

#include <pthread.h>

#include "answers.h"
#include "counting.h"
#include "limits.h"
#include "outcome.h"
#include "packet.h"
#include "tables.h"

enum { MOST_SETS = 4, MOST_TUPLES = 8192, DECIDED_PLACES = 16384, CLIENT_PLACES = 1024, MOST_LABELS = 128 };
/* What becomes of a packet. From HANDED on Python has to answer; the number says why. */
enum { ANSWERED, DROPPED, MISSED, HANDED, HANDED_ODD = HANDED, HANDED_MOMENT, HANDED_NAME, HANDED_SETS, HANDED_REVIEW,
       HANDED_PYTHON, HANDED_UPSTREAM };
/* A lesson speaks of every name that is asked for, a list's pattern may of any name; lists may say of what an address is
   in ways that are Python's. */
enum { LESSON_RUNS = 1, EVERY_NAME_IS_SPOKEN_OF = 2, ADDRESSES_ARE_PYTHONS = 4 };

/* The sets that hold a name and its parents, nearest first. */
typedef struct {
    uint32_t ids[MOST_SETS];
    uint8_t count;
    bool itself; /* the first one holds the name itself */
} tuple_t;

typedef struct {
    tuple_t tuple;
    outcome_t *outcome;
} judged_t;

typedef struct {
    uint64_t number; /* never used twice; 0 none */
    int64_t since, until; /* microseconds since 1970 */
    uint32_t flags;
    uint32_t slug; /* of its profile, for name counts */
    hashes_t spoken; /* suffixes that some rule beside the lists speaks of */
    outcome_t *silent; /* when lists say nothing */
    judged_t *judged;
    size_t judged_count, judged_places;
} moment_t;

/* Whose network an address is in. */
typedef struct {
    address_t address;
    uint32_t profile;
    int16_t bits; /* of that network, -1 when none holds it */
    bool is_known;
} client_t;

typedef struct {
    names_t names;
    addresses_t addresses;
    networks_t networks;
    client_t clients[CLIENT_PLACES]; /* seen lately */
    moment_t **moments; /* by profile; NULL: Python works it out first */
    uint32_t profiles;
} policy_t;

/* A decision about one very name: of a moment, a question and its key flags. */
typedef struct {
    uint64_t moment;
    outcome_t *outcome;
    uint16_t qtype, length;
    uint8_t flags;
    uint8_t name[LONGEST_NAME + 1];
} decided_t;

typedef struct {
    pthread_mutex_t lock; /* held for one batch at most */
    policy_t *policy;
    answers_t answers;
    counting_t counting;
    limits_t limits;
    decided_t *decided[DECIDED_PLACES];
} plane_t;

/* A packet, who sent it, and when: all that an answer depends on beside the plane. */
typedef struct {
    const uint8_t *data;
    size_t length;
    address_t client;
    const char *client_text;
    int64_t wall, clock; /* microseconds since 1970, and of the steady clock */
    bool whole; /* on a stream: a reply that would be cut is for Python, which counts it then */
} asked_t;

/* What a packet shows before anything is judged (plane_look), then what Python or an upstream needs (plane_answer). */
typedef struct {
    query_t query;
    dotted_t name;
    uint64_t name_hash, hash; /* of the name, and of the answer's key: of this process only */
    uint64_t suffixes[MOST_LABELS]; /* hashes of the name and its parents */
    uint32_t profile;
    int become; /* ANSWERED as long as there is something to judge */
    const answer_t *answer; /* that waits for its review, or is stale */
    bool is_due; /* what was answered is hot, and soon too old */
} outlook_t;

plane_t *plane_make(size_t cache_bytes, const uint8_t key[16]);
void plane_free(plane_t *plane);
void policy_free(policy_t *policy);
void moment_free(moment_t *moment);

/* All of these expect the lock to be held. */

/* Whether the client may ask now: limits.h. */
int plane_admit(plane_t *plane, const address_t *client, int64_t clock);
/* Reads the packet and asks for the memory that answering it will read; no policy may be installed in between. Looking
   at several packets before the first is answered hides what that memory costs. */
void plane_look(plane_t *plane, const asked_t *asked, outlook_t *outlook);
/* A little later: asks for what can only be told now to be needed. */
void plane_look_closer(const plane_t *plane, const outlook_t *outlook);
/* `outlook`: of this very packet. `fresh`: the upstream's answer to this very query, not kept yet; NULL otherwise. */
int plane_answer(plane_t *plane, const asked_t *asked, answer_t *fresh, uint8_t *out, size_t *out_length,
                 outlook_t *outlook);
/* Both take the outcome over, also when they return false: nobody can need it (any more). */
bool teach_sets(plane_t *plane, uint32_t profile, uint64_t moment, const tuple_t *tuple, outcome_t *outcome);
bool teach_name(plane_t *plane, uint64_t moment, const query_t *query, outcome_t *outcome);

/* judging.c: what is said of a name, and of where an answer leads. */
enum { SAID_NOTHING, SAID, SAID_UNKNOWN, SPOKEN_OF };
/* moments.c: what was said of sets of list entries. */
outcome_t *find_judged(const moment_t *moment, const tuple_t *tuple);
void hash_suffixes(const names_t *names, const dotted_t *name, uint64_t *suffixes);
int judge_name(const policy_t *policy, const moment_t *moment, const uint64_t *suffixes, unsigned labels, tuple_t *tuple,
               outcome_t **said);
bool passes_review(const policy_t *policy, const moment_t *moment, const query_t *query, const answer_t *answer);

#endif
