/* Part of module.c: single packets, and what was counted. */

static PyObject *plane_answer_one(PlaneObject *self, PyObject *arguments) {
    const char *packet, *client;
    Py_ssize_t length;
    long long wall, clock;
    uint8_t ipv4[4], out[LARGEST_REPLY];
    size_t out_length = 0;
    outlook_t outlook = {.answer = NULL};
    asked_t asked;
    int become;
    uint8_t *message = NULL;
    size_t message_length = 0;
    long long stored = 0;
    int whole = 0;
    if (!PyArg_ParseTuple(arguments, "y#sLL|p", &packet, &length, &client, &wall, &clock, &whole)) return NULL;
    asked = (asked_t){(const uint8_t *)packet, (size_t)length, {{0}}, client, wall, clock, whole};
    if (inet_pton(AF_INET, client, ipv4) == 1) asked.client = address_of_ipv4(ipv4);
    else if (inet_pton(AF_INET6, client, asked.client.bytes) != 1) return PyErr_Format(PyExc_ValueError, "client");
    BEGIN_WORK;
    plane_look(self->plane, &asked, &outlook);
    become = plane_answer(self->plane, &asked, NULL, out, &out_length, &outlook);
    if (outlook.answer != NULL && become >= MISSED && (message = malloc(outlook.answer->length)) != NULL) {
        message_length = outlook.answer->length;
        memcpy(message, answer_message(outlook.answer), message_length);
        stored = outlook.answer->stored;
    }
    END_WORK
    PyObject *result = Py_BuildValue("iy#y#L", become, out, (Py_ssize_t)out_length, message ? (char *)message : "",
                                     (Py_ssize_t)message_length, stored);
    free(message);
    return result;
}

static PyObject *plane_limit(PlaneObject *self, PyObject *arguments) {
    unsigned rate;
    if (!PyArg_ParseTuple(arguments, "I", &rate)) return NULL;
    BEGIN_WORK;
    self->plane->limits.rate = rate;
    END_WORK
    Py_RETURN_NONE;
}

static PyObject *plane_grow(PlaneObject *self, PyObject *arguments) {
    unsigned wanted;
    bool grown;
    if (!PyArg_ParseTuple(arguments, "I", &wanted)) return NULL;
    BEGIN_WORK;
    grown = counting_grow(&self->plane->counting, wanted);
    END_WORK
    return PyBool_FromLong(grown);
}

static PyObject *list_durations(const durations_t *durations) {
    PyObject *list = PyList_New(BUCKETS);
    for (int i = 0; list != NULL && i < BUCKETS; i++)
        PyList_SetItem(list, i, PyLong_FromUnsignedLongLong(durations->counts[i]));
    return Py_BuildValue("NK", list, (unsigned long long)durations->microseconds);
}

/* Takes the item over; NULL when there is no list any more. */
static PyObject *append(PyObject *list, PyObject *item) {
    if (item == NULL || PyList_Append(list, item) < 0) Py_CLEAR(list);
    Py_XDECREF(item);
    return list;
}

/* (hour, class, queries) of every class that has some. */
static PyObject *list_classes(const counting_t *taken) {
    PyObject *list = PyList_New(0);
    for (int hour = 0; list != NULL && hour < HOURS; hour++)
        for (uint32_t i = 0; list != NULL && i < taken->class_count; i++) {
            if (taken->classes[hour][i] == 0) continue;
            PyObject *item = Py_BuildValue("LIK", (long long)taken->hours[hour], i,
                                           (unsigned long long)taken->classes[hour][i]);
            list = append(list, item);
        }
    return list;
}

/* Everything but names, and begins anew. */
static PyObject *plane_take_counts(PlaneObject *self, PyObject *none) {
    (void)none;
    counting_t taken, *counting = &self->plane->counting, fresh;
    size_t entries, bytes;
    unsigned long long rate, slip;
    if (!counting_make(&fresh) || !counting_grow(&fresh, counting->class_count)) return PyErr_NoMemory();
    BEGIN_WORK;
    taken = *counting;
    fresh.counts_names = taken.counts_names;
    memcpy(fresh.names_key, taken.names_key, 16);
    fresh.names = taken.names;
    *counting = fresh;
    entries = self->plane->answers.count;
    bytes = self->plane->answers.bytes;
    rate = self->plane->limits.dropped;
    slip = self->plane->limits.slipped;
    self->plane->limits.dropped = self->plane->limits.slipped = 0;
    END_WORK
    taken.names = NULL; /* they stay */
    PyObject *result = Py_BuildValue(
        "{s:N,s:N,s:N,s:N,s:K,s:K,s:K,s:K,s:K,s:n,s:n,s:K,s:K,s:K}", "classes", list_classes(&taken), "answers",
        list_durations(&taken.answers), "upstream_answered", list_durations(&taken.upstream_answered),
        "upstream_failed", list_durations(&taken.upstream_failed), "hits", (unsigned long long)taken.hits, "misses",
        (unsigned long long)taken.misses, "no_query", (unsigned long long)taken.no_query, "names_dropped",
        (unsigned long long)taken.names_dropped, "overload", (unsigned long long)taken.overload, "cache_entries",
        (Py_ssize_t)entries, "cache_bytes", (Py_ssize_t)bytes, "rate", rate, "slip", slip,
        "prefetches", (unsigned long long)taken.prefetches);
    counting_free(&taken);
    return result;
}

/* (name, group, number of the profile's slug, queries, bits) */
static PyObject *list_names(const name_counts_t *names) {
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < NAME_PLACES; i++) {
        const name_count_t *each = names->places[i].count;
        if (each == NULL) continue;
        PyObject *item = Py_BuildValue("s#iIKy#", each->text, (Py_ssize_t)each->length, each->group, each->profile,
                                       (unsigned long long)each->queries, each->bits, (Py_ssize_t)sizeof each->bits);
        list = append(list, item);
    }
    return list;
}

static PyObject *plane_take_names(PlaneObject *self, PyObject *none) {
    (void)none;
    name_counts_t *names;
    BEGIN_WORK;
    names = take_names(&self->plane->counting);
    END_WORK
    PyObject *list = names == NULL ? PyList_New(0) : list_names(names);
    free_names(names);
    return list;
}

static PyObject *plane_count_names(PlaneObject *self, PyObject *arguments) {
    const char *key;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(arguments, "z#", &key, &length)) return NULL;
    if (key != NULL && length != 16) return PyErr_Format(PyExc_ValueError, "key");
    BEGIN_WORK;
    self->plane->counting.counts_names = key != NULL;
    if (key != NULL) memcpy(self->plane->counting.names_key, key, 16);
    END_WORK
    Py_RETURN_NONE;
}
