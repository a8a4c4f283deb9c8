/* The thread that answers on the listening UDP sockets, and the queue of what it hands to Python. It never touches
   Python: no lock of the interpreter, no object. */
#ifndef PREAU_LOOP_H
#define PREAU_LOOP_H

#include "upstream.h"

enum { MOST_LISTENERS = 64, BATCH = 64, ROUNDS = 4, LARGEST_PACKET = 4096, MOST_HANDED = 4096, ADDRESS_TEXT = 64 };
/* epoll's numbers: what to stop for, listeners, ports. */
enum { STOP = 0, FIRST_LISTENER = 1, FIRST_PORT = 1000 };

typedef struct handed {
    struct handed *next;
    origin_t origin;
    int reason;
    int64_t stored; /* when the message came, in microseconds of the steady clock */
    uint16_t length, message_length;
    uint8_t data[]; /* the packet, then an upstream's whole message that waits for review or is stale */
} handed_t;

typedef struct {
    plane_t *plane;
    int epoll, stop, news; /* news: readable when something was handed over */
    int listeners[MOST_LISTENERS];
    unsigned listener_count;
    upstream_t upstream;
    pthread_t thread;
    bool runs;
    pthread_mutex_t queue_lock;
    handed_t *first, **last;
    unsigned handed_count;
} loop_t;

/* NULL when the system has no more descriptors. The listeners' descriptors stay their owner's. */
loop_t *loop_make(plane_t *plane, const int *listeners, unsigned count);
bool loop_add_server(loop_t *loop, const struct sockaddr *address, socklen_t length);
/* Whether an upstream may be asked; when not, it is Python's. Expects the lock. */
void loop_use(loop_t *loop, unsigned server, bool usable);
bool loop_start(loop_t *loop);
/* Ends the thread, waits for it, and frees everything. The plane stays. */
void loop_free(loop_t *loop);
/* At most that many, oldest first, from now on the caller's. */
handed_t *loop_take(loop_t *loop, unsigned most);
bool loop_send(const loop_t *loop, const origin_t *origin, const uint8_t *data, size_t length);
/* The peer's address as people write it, for profiles and counts. */
void origin_text(const origin_t *origin, char text[ADDRESS_TEXT]);

#endif
