/* See upstream.h. */
#include "upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "loop.h"

enum { PATIENCE = 500000, FAILURE = 5000000, LONGEST_PENALTY = 30000000, PORT_TRIES = 8, MOST_READ = 64,
       SWEEP = 1000000 };

void upstream_make(upstream_t *upstream, plane_t *plane, int epoll, tell_t tell, void *context) {
    upstream->plane = plane;
    upstream->epoll = epoll;
    upstream->tell = tell;
    upstream->context = context;
    for (int i = 0; i < PORTS; i++) upstream->ports[i].fd = -1;
}

static bool draw(upstream_t *upstream, void *out, size_t length) {
    if (upstream->random_left < length) {
        if (getrandom(upstream->random, sizeof upstream->random, GRND_NONBLOCK) != sizeof upstream->random) return false;
        upstream->random_left = sizeof upstream->random;
    }
    upstream->random_left -= length;
    memcpy(out, upstream->random + upstream->random_left, length);
    return true;
}

static void close_port(upstream_t *upstream, port_t *port) {
    if (port->fd >= 0) {
        close(port->fd);
        upstream->open_ports--;
    }
    port->fd = -1;
    port->uses = port->outstanding = port->guesses = 0;
}

/* A socket of a port that the kernel draws, connected: nobody else's datagrams are heard. */
static bool open_port(upstream_t *upstream, unsigned number, unsigned server, int64_t now) {
    port_t *port = &upstream->ports[number];
    const server_t *to = &upstream->servers[server];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = FIRST_PORT + number};
    close_port(upstream, port);
    port->fd = socket(to->address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (port->fd < 0) return false;
    upstream->open_ports++;
    port->server = server;
    port->opened = now;
    if (connect(port->fd, (const struct sockaddr *)&to->address, to->length) == 0 &&
        epoll_ctl(upstream->epoll, EPOLL_CTL_ADD, port->fd, &event) == 0)
        return true;
    close_port(upstream, port);
    return false;
}

static int choose_server(const upstream_t *upstream, int64_t now) {
    for (unsigned i = 0; i < upstream->server_count; i++)
        if (!upstream->servers[i].is_out && now >= upstream->servers[i].retry_at) return (int)i;
    return -1;
}

/* A port to that server, drawn by lot; -1 when none can be had. */
static int choose_port(upstream_t *upstream, unsigned server, int64_t now) {
    for (int i = 0; i < PORT_TRIES; i++) {
        uint8_t number;
        if (!draw(upstream, &number, 1)) return -1;
        port_t *port = &upstream->ports[number %= PORTS];
        bool usable = port->fd >= 0 && port->server == server && port->uses < USES_OF_A_PORT &&
                      now - port->opened < LIFE_OF_A_PORT;
        if (usable || (port->outstanding == 0 && open_port(upstream, number, server, now))) return number;
    }
    return -1;
}

static flight_t **key_place(upstream_t *upstream, uint64_t hash) { return &upstream->by_key[hash % FLIGHT_PLACES]; }
static flight_t **id_place(upstream_t *upstream, unsigned port, uint16_t id) {
    return &upstream->by_id[(id ^ port * 67u) % FLIGHT_PLACES];
}

static flight_t *find_flight(upstream_t *upstream, uint64_t hash, const query_t *query) {
    flight_t *each = *key_place(upstream, hash);
    while (each != NULL && !(each->hash == hash && each->qtype == query->qtype && each->flags == key_flags(query) &&
                             same_name(&each->name, &query->name)))
        each = each->next_by_key;
    return each;
}

static flight_t *find_id(upstream_t *upstream, unsigned port, uint16_t id) {
    flight_t *each = *id_place(upstream, port, id);
    while (each != NULL && !(each->port == port && each->id == id)) each = each->next_by_id;
    return each;
}

static void unlink_flight(upstream_t *upstream, flight_t *flight) {
    flight_t **link = key_place(upstream, flight->hash);
    while (*link != flight) link = &(*link)->next_by_key;
    *link = flight->next_by_key;
    for (link = id_place(upstream, flight->port, flight->id); *link != flight;) link = &(*link)->next_by_id;
    *link = flight->next_by_id;
    *(flight->newer ? &flight->newer->older : &upstream->newest) = flight->older;
    *(flight->older ? &flight->older->newer : &upstream->oldest) = flight->newer;
    upstream->ports[flight->port].outstanding--;
    upstream->flight_count--;
}

static void link_flight(upstream_t *upstream, flight_t *flight) {
    flight_t **by_key = key_place(upstream, flight->hash), **by_id = id_place(upstream, flight->port, flight->id);
    flight->next_by_key = *by_key;
    flight->next_by_id = *by_id;
    *by_key = *by_id = flight;
    flight->older = upstream->newest;
    flight->newer = NULL;
    *(upstream->newest ? &upstream->newest->newer : &upstream->oldest) = flight;
    upstream->newest = flight;
    upstream->ports[flight->port].outstanding++;
    upstream->flight_count++;
}

static void remember_failure(upstream_t *upstream, uint64_t hash, int64_t now) {
    upstream->failures[hash % FAILURE_PLACES] = (failure_t){hash, now + FAILURE};
}

/* The flight is over: every waiter hears of it. The answer is not kept by anybody yet. */
static void land(upstream_t *upstream, flight_t *flight, const landing_t *landing) {
    unlink_flight(upstream, flight);
    for (waiter_t *next, *waiter = flight->waiters; waiter != NULL; waiter = next) {
        next = waiter->next;
        upstream->tell(upstream->context, waiter, landing);
        upstream->waiter_count--;
        free(waiter);
    }
    free(flight);
}

/* It is Python's from now on; nothing is held against the server. */
static void leave(upstream_t *upstream, flight_t *flight, int64_t now) {
    remember_failure(upstream, flight->hash, now);
    land(upstream, flight, &(landing_t){.now = now});
}

static void fail(upstream_t *upstream, flight_t *flight, int64_t now) {
    server_t *server = &upstream->servers[upstream->ports[flight->port].server];
    durations_t *failed = &upstream->plane->counting.upstream_failed;
    unsigned doublings = ++server->failures > 6 ? 6 : server->failures;
    int64_t penalty = (int64_t)500000 << doublings;
    if (server->failures > 2) server->retry_at = now + (penalty > LONGEST_PENALTY ? LONGEST_PENALTY : penalty);
    count_duration(failed, now - flight->sent, 1);
    leave(upstream, flight, now);
}

void upstream_free(upstream_t *upstream) {
    while (upstream->oldest != NULL) land(upstream, upstream->oldest, &(landing_t){.now = 0});
    for (int i = 0; i < PORTS; i++) close_port(upstream, &upstream->ports[i]);
}

static bool add_waiter(upstream_t *upstream, flight_t *flight, const asked_t *asked, const origin_t *origin) {
    if (upstream->waiter_count >= MOST_WAITERS || flight->waiter_count >= MOST_WAITERS_OF_A_FLIGHT) return false;
    waiter_t *waiter = malloc(sizeof *waiter + asked->length);
    if (waiter == NULL) return false;
    waiter->origin = *origin;
    waiter->arrived = asked->clock;
    waiter->length = (uint16_t)asked->length;
    memcpy(waiter->packet, asked->data, asked->length);
    waiter->next = flight->waiters;
    flight->waiters = waiter;
    flight->waiter_count++;
    upstream->waiter_count++;
    return true;
}

/* As filter/serving/resolving/upstream.py pack_query. */
static bool send_query(const upstream_t *upstream, const flight_t *flight) {
    uint8_t packet[HEADER + LONGEST_NAME + 5 + 11] = {0}, *at = packet + HEADER;
    put16(packet, flight->id);
    put16(packet + 2, FLAG_RD | FLAG_AD | (flight->flags & KEY_CHECKING_DISABLED ? FLAG_CD : 0u));
    put16(packet + 4, 1);
    put16(packet + 10, 1);
    memcpy(at, flight->name.wire, flight->name.length);
    at += flight->name.length;
    put16(at, flight->qtype);
    put16(at + 2, 1);
    put16(at + 5, TYPE_OPT);
    put16(at + 7, UDP_SIZE);
    put16(at + 11, flight->flags & KEY_DNSSEC_OK ? 0x8000 : 0);
    at += 4 + 11;
    return send(upstream->ports[flight->port].fd, packet, (size_t)(at - packet), MSG_NOSIGNAL) == at - packet;
}

static flight_t *begin(upstream_t *upstream, const outlook_t *outlook, int64_t now) {
    int server = choose_server(upstream, now), port = server < 0 ? -1 : choose_port(upstream, (unsigned)server, now);
    uint16_t id;
    if (port < 0 || !draw(upstream, &id, 2) || find_id(upstream, (unsigned)port, id) != NULL) return NULL;
    flight_t *flight = calloc(1, sizeof *flight);
    if (flight == NULL) return NULL;
    flight->hash = outlook->hash;
    flight->name = outlook->query.name;
    flight->qtype = outlook->query.qtype;
    flight->flags = key_flags(&outlook->query);
    flight->port = (uint16_t)port;
    flight->id = id;
    flight->sent = now;
    link_flight(upstream, flight);
    upstream->ports[port].uses++;
    return flight;
}

static bool failed_lately(const upstream_t *upstream, uint64_t hash, int64_t now) {
    const failure_t *failure = &upstream->failures[hash % FAILURE_PLACES];
    return failure->hash == hash && now < failure->until;
}

void upstream_prefetch(upstream_t *upstream, const outlook_t *outlook, int64_t now) {
    if (upstream->flight_count >= MOST_FLIGHTS || failed_lately(upstream, outlook->hash, now)) return;
    if (find_flight(upstream, outlook->hash, &outlook->query) != NULL) return;
    flight_t *flight = begin(upstream, outlook, now);
    if (flight == NULL) return;
    upstream->plane->counting.prefetches++;
    if (!send_query(upstream, flight)) fail(upstream, flight, now);
}

bool upstream_ask(upstream_t *upstream, const outlook_t *outlook, const asked_t *asked, const origin_t *origin) {
    if (upstream->server_count == 0 || failed_lately(upstream, outlook->hash, asked->clock)) return false;
    flight_t *flight = find_flight(upstream, outlook->hash, &outlook->query);
    if (flight != NULL) return add_waiter(upstream, flight, asked, origin);
    if (upstream->flight_count >= MOST_FLIGHTS) return false;
    if ((flight = begin(upstream, outlook, asked->clock)) == NULL) return false;
    if (add_waiter(upstream, flight, asked, origin)) {
        if (!send_query(upstream, flight)) fail(upstream, flight, asked->clock); /* the waiter hears of it */
        return true;
    }
    unlink_flight(upstream, flight);
    free(flight);
    return false;
}

/* Nobody waits for answers at this port any more. */
static void give_up(upstream_t *upstream, unsigned port, int64_t now, void (*end)(upstream_t *, flight_t *, int64_t)) {
    upstream->ports[port].uses = USES_OF_A_PORT;
    for (flight_t *newer, *each = upstream->oldest; each != NULL; each = newer) {
        newer = each->newer;
        if (each->port == port) end(upstream, each, now);
    }
}

/* The question that a datagram answers, or NULL. */
static flight_t *find_answered(upstream_t *upstream, unsigned port, const uint8_t *data, size_t length) {
    name_t name;
    size_t end;
    if (length < HEADER || (get16(data + 2) & (FLAG_QR | 0x7800)) != FLAG_QR) return NULL;
    flight_t *flight = find_id(upstream, port, get16(data));
    if (flight == NULL || !read_name(data, length, HEADER, &name, &end) || end + 4 > length) return NULL;
    bool same = same_name(&name, &flight->name) && get16(data + end) == flight->qtype && get16(data + end + 2) == 1;
    return same ? flight : NULL;
}

/* One datagram. What is no answer to what was asked is late, or somebody guessing: waited out a few times, then the port
   is given up and what waits there asked by Python, from another. */
static void receive(upstream_t *upstream, unsigned port, const uint8_t *data, size_t length, int64_t now) {
    flight_t *flight = find_answered(upstream, port, data, length);
    if (flight == NULL) {
        if (++upstream->ports[port].guesses >= MOST_GUESSES) give_up(upstream, port, now, leave);
        return;
    }
    server_t *server = &upstream->servers[upstream->ports[port].server];
    server->failures = 0;
    server->retry_at = 0;
    answer_t *answer = answer_make(data, length, &flight->name, flight->qtype, flight->flags);
    landing_t landing = {answer, data, length, now};
    uint64_t hash = flight->hash;
    count_duration(&upstream->plane->counting.upstream_answered, now - flight->sent, 1);
    if (answer == NULL) remember_failure(upstream, hash, now);
    else answer->stored = now;
    land(upstream, flight, &landing);
    if (answer != NULL) answers_put(&upstream->plane->answers, answer, hash, now);
}

void upstream_read(upstream_t *upstream, unsigned number, int64_t now) {
    uint8_t data[LARGEST_ANSWER];
    const port_t *port = &upstream->ports[number];
    for (int i = 0; i < MOST_READ && port->fd >= 0 && (i == 0 || port->outstanding > 0); i++) {
        ssize_t length = recv(port->fd, data, sizeof data, MSG_DONTWAIT | MSG_TRUNC);
        if (length < 0) {
            if (errno != EAGAIN && errno != EINTR) give_up(upstream, number, now, fail); /* the server is gone (ICMP) */
            return;
        }
        if ((size_t)length <= sizeof data) receive(upstream, number, data, (size_t)length, now);
    }
}

/* At night a gateway holds no descriptor that nobody needs. */
static void sweep_ports(upstream_t *upstream, int64_t now) {
    if (upstream->open_ports == 0 || now - upstream->swept < SWEEP) return;
    upstream->swept = now;
    for (int i = 0; i < PORTS; i++) {
        port_t *port = &upstream->ports[i];
        bool is_idle = port->outstanding == 0 && now - port->opened >= LIFE_OF_A_PORT;
        if (port->fd >= 0 && is_idle) close_port(upstream, port);
    }
}

int64_t upstream_expire(upstream_t *upstream, int64_t now) {
    while (upstream->oldest != NULL && now - upstream->oldest->sent >= PATIENCE)
        fail(upstream, upstream->oldest, now);
    sweep_ports(upstream, now);
    if (upstream->oldest != NULL) return PATIENCE - (now - upstream->oldest->sent);
    return upstream->open_ports ? SWEEP : -1;
}
