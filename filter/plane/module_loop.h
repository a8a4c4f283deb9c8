/* Part of module.c: the thread, and what it hands over. */

enum { MOST_TAKEN = 256 };

static bool add_server(loop_t *loop, PyObject *server) {
    const char *host;
    int port;
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    if (!PyArg_ParseTuple(server, "si", &host, &port)) return false;
    ipv4.sin_port = ipv6.sin6_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &ipv4.sin_addr) == 1)
        return loop_add_server(loop, (const struct sockaddr *)&ipv4, sizeof ipv4);
    if (inet_pton(AF_INET6, host, &ipv6.sin6_addr) == 1)
        return loop_add_server(loop, (const struct sockaddr *)&ipv6, sizeof ipv6);
    return false;
}

/* listen(descriptors, [(address, port) of each upstream]) -> descriptor that is readable when something is handed over */
static PyObject *plane_listen(PlaneObject *self, PyObject *arguments) {
    PyObject *descriptors, *servers;
    int listeners[MOST_LISTENERS];
    if (!PyArg_ParseTuple(arguments, "O!O!", &PyList_Type, &descriptors, &PyList_Type, &servers)) return NULL;
    Py_ssize_t count = PyList_Size(descriptors);
    if (self->loop != NULL || count > MOST_LISTENERS) return PyErr_Format(PyExc_ValueError, "listeners");
    for (Py_ssize_t i = 0; i < count; i++) listeners[i] = (int)PyLong_AsLong(PyList_GetItem(descriptors, i));
    if (PyErr_Occurred()) return NULL;
    loop_t *loop = loop_make(self->plane, listeners, (unsigned)count);
    if (loop == NULL) return PyErr_SetFromErrno(PyExc_OSError);
    for (Py_ssize_t i = 0; i < PyList_Size(servers); i++)
        if (!add_server(loop, PyList_GetItem(servers, i))) {
            loop_free(loop);
            return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "upstreams");
        }
    if (!loop_start(loop)) {
        loop_free(loop);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    self->loop = loop;
    return PyLong_FromLong(loop->news);
}

static PyObject *plane_use(PlaneObject *self, PyObject *arguments) {
    unsigned server;
    int usable;
    if (!PyArg_ParseTuple(arguments, "Ip", &server, &usable)) return NULL;
    if (self->loop == NULL) Py_RETURN_NONE;
    BEGIN_WORK;
    loop_use(self->loop, server, usable);
    END_WORK
    Py_RETURN_NONE;
}

static PyObject *describe_handed(const handed_t *each) {
    char text[ADDRESS_TEXT];
    origin_text(&each->origin, text);
    return Py_BuildValue("y#sy#iy#L", &each->origin, (Py_ssize_t)sizeof each->origin, text, each->data,
                         (Py_ssize_t)each->length, each->reason, each->data + each->length,
                         (Py_ssize_t)each->message_length, (long long)each->stored);
}

/* take(most) -> [(origin, client, packet, reason, message, when it came)] */
static PyObject *plane_take(PlaneObject *self, PyObject *arguments) {
    unsigned most;
    eventfd_t news;
    if (!PyArg_ParseTuple(arguments, "I", &most)) return NULL;
    PyObject *list = PyList_New(0);
    if (self->loop == NULL || list == NULL) return list;
    eventfd_read(self->loop->news, &news);
    handed_t *next, *each = loop_take(self->loop, most < MOST_TAKEN ? most : MOST_TAKEN);
    for (; each != NULL; each = next) {
        PyObject *item = list == NULL ? NULL : describe_handed(each);
        if (item == NULL || PyList_Append(list, item) < 0) Py_CLEAR(list);
        Py_XDECREF(item);
        next = each->next;
        free(each);
    }
    return list;
}

static PyObject *plane_send(PlaneObject *self, PyObject *arguments) {
    const char *data, *origin_data;
    Py_ssize_t length, origin_length;
    origin_t origin;
    if (!PyArg_ParseTuple(arguments, "y#y#", &origin_data, &origin_length, &data, &length)) return NULL;
    if (origin_length != sizeof origin) return PyErr_Format(PyExc_ValueError, "origin");
    memcpy(&origin, origin_data, sizeof origin);
    return PyBool_FromLong(self->loop != NULL && loop_send(self->loop, &origin, (const uint8_t *)data, (size_t)length));
}
