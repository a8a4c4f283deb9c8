/* Plain UDP to the upstreams: fresh random ports and ids, sources and questions checked (RFC 5452), equal questions
   asked once. One try each: what fails, is cut or is unusual goes to Python, which has TCP and the other upstreams. */
#ifndef PREAU_UPSTREAM_H
#define PREAU_UPSTREAM_H

#include <sys/socket.h>

#include "plane.h"

enum { PORTS = 256, USES_OF_A_PORT = 64, LIFE_OF_A_PORT = 3000000, MOST_GUESSES = 16, MOST_SERVERS = 8, MOST_FLIGHTS = 2000, MOST_WAITERS = 8000,
       MOST_WAITERS_OF_A_FLIGHT = 256, FLIGHT_PLACES = 4096, FAILURE_PLACES = 4096, CONTROL_SIZE = 64 };

/* Where a packet came from and how its reply goes there: the local address too, for sockets of every address. */
typedef struct {
    struct sockaddr_storage peer;
    uint32_t peer_length;
    uint32_t listener;
    uint32_t control_length;
    _Alignas(size_t) uint8_t control[CONTROL_SIZE];
} origin_t;

typedef struct waiter {
    struct waiter *next;
    origin_t origin;
    int64_t arrived;
    uint16_t length;
    uint8_t packet[];
} waiter_t;

typedef struct flight {
    struct flight *next_by_key, *next_by_id, *newer, *older;
    uint64_t hash;
    name_t name;
    uint16_t qtype, id, port;
    uint8_t flags;
    int64_t sent;
    waiter_t *waiters;
    unsigned waiter_count;
} flight_t;

typedef struct {
    struct sockaddr_storage address;
    socklen_t length;
    unsigned failures;
    int64_t retry_at;
    bool is_out; /* by what Python knows of it */
} server_t;

typedef struct {
    int fd; /* -1: closed */
    unsigned server, uses, outstanding;
    unsigned guesses; /* datagrams that answered nothing that was asked: too many, and somebody is at it */
    int64_t opened;
} port_t;

typedef struct {
    uint64_t hash;
    int64_t until;
} failure_t;

/* What came of a flight: an answer; a message that only Python can use; or nothing. */
typedef struct {
    answer_t *answer;
    const uint8_t *message;
    size_t length;
    int64_t now;
} landing_t;
typedef void (*tell_t)(void *context, const waiter_t *waiter, const landing_t *landing);

typedef struct {
    plane_t *plane;
    int epoll;
    tell_t tell;
    void *context;
    server_t servers[MOST_SERVERS];
    unsigned server_count;
    port_t ports[PORTS];
    flight_t *by_key[FLIGHT_PLACES], *by_id[FLIGHT_PLACES], *newest, *oldest;
    unsigned flight_count, waiter_count;
    failure_t failures[FAILURE_PLACES]; /* left to Python for a moment (RFC 9520) */
    uint8_t random[1024];
    size_t random_left;
    unsigned open_ports;
    int64_t swept; /* when ports were last looked through for idle ones */
} upstream_t;

void upstream_make(upstream_t *upstream, plane_t *plane, int epoll, tell_t tell, void *context);
/* Tells every waiter that nothing will come, and closes every port. */
void upstream_free(upstream_t *upstream);
/* Sends the query, or lets it wait for the same one; false: Python has to. Expects the lock, as all below do. */
bool upstream_ask(upstream_t *upstream, const outlook_t *outlook, const asked_t *asked, const origin_t *origin);
/* Asks for what is about to be too old; nobody waits, and failing changes nothing. */
void upstream_prefetch(upstream_t *upstream, const outlook_t *outlook, int64_t now);
/* Reads what came in at a port. */
void upstream_read(upstream_t *upstream, unsigned port, int64_t now);
/* Gives up what waited too long, and closes ports that are too old and idle. Returns microseconds until there may be
   something to do again, -1 for never. */
int64_t upstream_expire(upstream_t *upstream, int64_t now);

#endif
