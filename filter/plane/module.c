/* The plane as Python sees it: a thin binding. Work on the plane is done without the interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base64url.h"
#include "huffman.h"
#include "loop.h"

enum { VIEWS = 4, LONGEST_TEXT = 16384 };

typedef struct {
    Py_buffer views[VIEWS]; /* of a names file, which stays mapped as long as they are held */
    int count;
} held_t;

typedef struct {
    PyObject_HEAD
    plane_t *plane;
    loop_t *loop;
    held_t *held;
} PlaneObject;

#define BEGIN_WORK Py_BEGIN_ALLOW_THREADS pthread_mutex_lock(&self->plane->lock)
#define END_WORK pthread_mutex_unlock(&self->plane->lock); Py_END_ALLOW_THREADS

static void let_go(held_t *held) {
    if (held == NULL) return;
    for (int i = 0; i < held->count; i++) PyBuffer_Release(&held->views[i]);
    PyMem_Free(held);
}

static PyObject *plane_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    static char *names[] = {"cache_bytes", "key", NULL};
    Py_ssize_t cache_bytes, key_length;
    const char *key;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "ny#", names, &cache_bytes, &key, &key_length)) return NULL;
    if (cache_bytes < 0 || key_length != 16) return PyErr_Format(PyExc_ValueError, "cache_bytes or key");
    PlaneObject *self = (PlaneObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) return NULL;
    self->plane = plane_make((size_t)cache_bytes, (const uint8_t *)key);
    if (self->plane != NULL) return (PyObject *)self;
    Py_DECREF(self);
    return PyErr_NoMemory();
}

static PyObject *plane_stop(PlaneObject *self, PyObject *none) {
    (void)none;
    loop_t *loop = self->loop;
    self->loop = NULL;
    if (loop != NULL) {
        Py_BEGIN_ALLOW_THREADS
        loop_free(loop);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

static void plane_dealloc(PlaneObject *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    Py_XDECREF(plane_stop(self, NULL));
    if (self->plane != NULL) plane_free(self->plane);
    let_go(self->held);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static bool fill_policy(policy_t *policy, const held_t *held, const char *networks, Py_ssize_t length,
                        unsigned otherwise) {
    policy->names.fanout = held->views[0].buf;
    policy->names.hashes = held->views[1].buf;
    policy->names.set_ids = held->views[2].buf;
    policy->addresses = (addresses_t){held->views[3].buf, (size_t)held->views[3].len};
    policy->moments = calloc(policy->profiles + 1u, sizeof *policy->moments);
    return policy->moments != NULL &&
           networks_make(&policy->networks, (const uint8_t *)networks, (size_t)length, otherwise);
}

static bool is_whole(const names_t *names, const held_t *held) {
    Py_ssize_t count = (Py_ssize_t)names->names, fanout = held->views[0].len;
    return names->fanout_bits <= 31 && fanout == (((Py_ssize_t)1 << names->fanout_bits) + 1) * 4 &&
           held->views[1].len == 8 * count && (names->set_id_size == 2 || names->set_id_size == 4) &&
           held->views[2].len == names->set_id_size * count;
}

static PyObject *plane_install(PlaneObject *self, PyObject *arguments) {
    const char *key, *networks;
    Py_ssize_t key_length, networks_length;
    unsigned otherwise;
    held_t *held = PyMem_Calloc(1, sizeof *held);
    policy_t *policy = calloc(1, sizeof *policy), *before;
    names_t *names = &policy->names;
    if (held == NULL || policy == NULL) goto no_memory;
    Py_buffer *views = held->views;
    if (!PyArg_ParseTuple(arguments, "y#bbKIy*y*y*y*y#II", &key, &key_length, &names->fanout_bits, &names->set_id_size,
                          &names->names, &names->sets, &views[0], &views[1], &views[2], &views[3], &networks,
                          &networks_length, &otherwise, &policy->profiles))
        goto failed;
    held->count = VIEWS;
    if (key_length != 16 || !is_whole(names, held)) {
        PyErr_SetString(PyExc_ValueError, "tables of wrong lengths");
        goto failed;
    }
    memcpy(names->key, key, 16);
    if (!fill_policy(policy, held, networks, networks_length, otherwise)) goto no_memory;
    BEGIN_WORK;
    before = self->plane->policy;
    self->plane->policy = policy;
    END_WORK
    policy_free(before); /* nobody reads it: that takes the lock */
    let_go(self->held);
    self->held = held;
    Py_RETURN_NONE;
no_memory:
    PyErr_NoMemory();
failed:
    policy_free(policy);
    let_go(held);
    return NULL;
}

static outcome_t *read_outcome(const char *data, Py_ssize_t length) {
    outcome_t *outcome = outcome_read((const uint8_t *)data, (size_t)length);
    if (outcome == NULL) PyErr_SetString(PyExc_ValueError, "no outcome");
    return outcome;
}

static PyObject *plane_teach_moment(PlaneObject *self, PyObject *arguments) {
    const char *spoken, *silent;
    Py_ssize_t spoken_length, silent_length;
    unsigned profile;
    moment_t *moment = calloc(1, sizeof *moment), *before;
    if (moment == NULL) return PyErr_NoMemory();
    if (!PyArg_ParseTuple(arguments, "IKLLIIy#y#", &profile, &moment->number, &moment->since, &moment->until,
                          &moment->flags, &moment->slug, &spoken, &spoken_length, &silent, &silent_length) ||
        (moment->silent = read_outcome(silent, silent_length)) == NULL) {
        moment_free(moment);
        return NULL;
    }
    if (!hashes_make(&moment->spoken, (const uint8_t *)spoken, (size_t)spoken_length / 8)) {
        moment_free(moment);
        return PyErr_NoMemory();
    }
    BEGIN_WORK;
    policy_t *policy = self->plane->policy;
    before = moment;
    if (policy != NULL && profile < policy->profiles) {
        before = policy->moments[profile];
        policy->moments[profile] = moment;
    }
    END_WORK
    moment_free(before);
    return PyBool_FromLong(before != moment);
}

static PyObject *plane_teach_sets(PlaneObject *self, PyObject *arguments) {
    const char *ids, *content;
    Py_ssize_t ids_length, length;
    unsigned profile;
    unsigned long long number;
    int itself;
    bool taught;
    if (!PyArg_ParseTuple(arguments, "IKpy#y#", &profile, &number, &itself, &ids, &ids_length, &content, &length))
        return NULL;
    if (ids_length % 4 || ids_length == 0 || ids_length > 4 * MOST_SETS) Py_RETURN_FALSE;
    tuple_t tuple = {.itself = itself, .count = (uint8_t)(ids_length / 4)};
    memcpy(tuple.ids, ids, (size_t)ids_length);
    outcome_t *outcome = read_outcome(content, length);
    if (outcome == NULL) return NULL;
    BEGIN_WORK;
    taught = teach_sets(self->plane, profile, number, &tuple, outcome);
    END_WORK
    return PyBool_FromLong(taught);
}

static PyObject *plane_teach_name(PlaneObject *self, PyObject *arguments) {
    const char *packet, *content;
    Py_ssize_t packet_length, length;
    unsigned long long number;
    query_t query;
    bool taught;
    if (!PyArg_ParseTuple(arguments, "Ky#y#", &number, &packet, &packet_length, &content, &length)) return NULL;
    if (!read_query((const uint8_t *)packet, (size_t)packet_length, &query)) Py_RETURN_FALSE;
    outcome_t *outcome = read_outcome(content, length);
    if (outcome == NULL) return NULL;
    BEGIN_WORK;
    taught = teach_name(self->plane, number, &query, outcome);
    END_WORK
    return PyBool_FromLong(taught);
}

static PyObject *plane_teach_answer(PlaneObject *self, PyObject *arguments) {
    const char *message;
    Py_ssize_t length;
    unsigned char flags;
    long long stored;
    name_t name;
    size_t end;
    if (!PyArg_ParseTuple(arguments, "y#bL", &message, &length, &flags, &stored)) return NULL;
    const uint8_t *data = (const uint8_t *)message;
    if (length < HEADER || !read_name(data, (size_t)length, HEADER, &name, &end) || (Py_ssize_t)end + 4 > length)
        Py_RETURN_FALSE;
    uint16_t qtype = get16(data + end);
    answer_t *answer = answer_make(data, (size_t)length, &name, qtype, flags);
    if (answer == NULL) Py_RETURN_FALSE;
    BEGIN_WORK;
    answers_t *answers = &self->plane->answers;
    answers_put(answers, answer, answers_hash(answers, &name, qtype, flags), stored);
    END_WORK
    Py_RETURN_TRUE;
}

static PyObject *plane_pass_review(PlaneObject *self, PyObject *arguments) {
    const char *packet;
    Py_ssize_t length;
    unsigned long long number;
    long long stored;
    query_t query;
    bool passed = false;
    if (!PyArg_ParseTuple(arguments, "Ky#L", &number, &packet, &length, &stored)) return NULL;
    if (!read_query((const uint8_t *)packet, (size_t)length, &query)) Py_RETURN_FALSE;
    BEGIN_WORK;
    answers_t *answers = &self->plane->answers;
    uint64_t hash = answers_hash(answers, &query.name, query.qtype, key_flags(&query));
    answer_t *answer = answers_find(answers, hash, &query.name, query.qtype, key_flags(&query));
    if (answer != NULL && answer->stored == stored) { /* the very one that was reviewed */
        answer_pass(answer, number);
        passed = true;
    }
    END_WORK
    return PyBool_FromLong(passed);
}

#include "module_counts.h"
#include "module_loop.h"

static PyObject *decode_huffman(PyObject *module, PyObject *data) {
    uint8_t text[LONGEST_TEXT];
    char *coded;
    Py_ssize_t length;
    (void)module;
    if (PyBytes_AsStringAndSize(data, &coded, &length) < 0) return NULL;
    ptrdiff_t written = huffman_read((const uint8_t *)coded, (size_t)length, text, sizeof text);
    if (written < 0) return PyErr_Format(PyExc_ValueError, "no Huffman-coded text");
    return PyBytes_FromStringAndSize((const char *)text, written);
}

static PyObject *read_parameter(PyObject *module, PyObject *data) {
    uint8_t query[LONGEST_TEXT];
    char *text;
    Py_ssize_t length;
    (void)module;
    if (PyBytes_AsStringAndSize(data, &text, &length) < 0) return NULL;
    ptrdiff_t written = -1;
    if (length >= 4 && memcmp(text, "dns=", 4) == 0)
        written = base64url_read((const uint8_t *)text + 4, (size_t)length - 4, query, sizeof query);
    if (written < 0) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)query, written);
}

static PyMethodDef FUNCTIONS[] = {
    {"read_parameter", read_parameter, METH_O, "The query in the plainest parameters of DoH by GET, or None."},
    {"decode_huffman", decode_huffman, METH_O, "The text of a string of an HTTP/2 header."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef METHODS[] = {
    {"install", (PyCFunction)plane_install, METH_VARARGS, "Judge by these tables from the next batch on."},
    {"teach_moment", (PyCFunction)plane_teach_moment, METH_VARARGS, "What holds for a profile."},
    {"teach_sets", (PyCFunction)plane_teach_sets, METH_VARARGS, "What is said of sets of list entries."},
    {"teach_name", (PyCFunction)plane_teach_name, METH_VARARGS, "What was decided about one question."},
    {"teach_answer", (PyCFunction)plane_teach_answer, METH_VARARGS, "An upstream's whole message."},
    {"pass_review", (PyCFunction)plane_pass_review, METH_VARARGS, "An answer that Python reviewed."},
    {"answer", (PyCFunction)plane_answer_one, METH_VARARGS, "What becomes of one packet."},
    {"limit", (PyCFunction)plane_limit, METH_VARARGS, "Queries a second of one address; 0: no limit."},
    {"grow", (PyCFunction)plane_grow, METH_VARARGS, "Room for that many counters."},
    {"take_counts", (PyCFunction)plane_take_counts, METH_NOARGS, "What was counted since the last time."},
    {"take_names", (PyCFunction)plane_take_names, METH_NOARGS, "The names that were counted since the last time."},
    {"count_names", (PyCFunction)plane_count_names, METH_VARARGS, "The day's key, or None: names are not counted."},
    {"listen", (PyCFunction)plane_listen, METH_VARARGS, "Start the thread on these sockets."},
    {"use", (PyCFunction)plane_use, METH_VARARGS, "Whether an upstream, by its place, may be asked."},
    {"stop", (PyCFunction)plane_stop, METH_NOARGS, "End the thread; wait for it."},
    {"take", (PyCFunction)plane_take, METH_VARARGS, "What was handed over, oldest first."},
    {"send", (PyCFunction)plane_send, METH_VARARGS, "A reply to where a packet came from."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot SLOTS_OF_PLANE[] = {
    {Py_tp_new, plane_new}, {Py_tp_dealloc, plane_dealloc}, {Py_tp_methods, METHODS}, {0, NULL}};
static PyType_Spec PLANE = {"filter.plane._plane.Plane", sizeof(PlaneObject), 0, Py_TPFLAGS_DEFAULT, SLOTS_OF_PLANE};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_plane", .m_doc = "The compiled plane.",
                                    .m_size = -1, .m_methods = FUNCTIONS};

PyMODINIT_FUNC PyInit__plane(void) {
    PyObject *module = PyModule_Create(&MODULE), *type = PyType_FromSpec(&PLANE);
    if (module == NULL || type == NULL || PyModule_AddObject(module, "Plane", type) < 0) {
        Py_XDECREF(module);
        Py_XDECREF(type);
        return NULL;
    }
    return module;
}
