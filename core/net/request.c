/* request.c - one request, as its handler sees it; see server.h */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/net/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

void request_free(struct request *request)
{
    if (request->reply)
        MHD_destroy_response(request->reply);
    free(request->method);
    free(request->path);
    free(request->raw_path);
    free(request->user);
    buf_clear(&request->values);
    buf_clear(&request->body);
    buf_clear(&request->headers);
    free(request);
}

void request_answer(struct request *request, int status, const char *content_type, struct slice body)
{
    request->reply = MHD_create_response_from_buffer(body.size, (void *)(uintptr_t)(body.data ? body.data : ""),
                                                     MHD_RESPMEM_MUST_COPY);
    if (!request->reply)
        abort();
    request->status = status;
    if (content_type)
        MHD_add_response_header(request->reply, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    for (size_t at = 0; at < request->headers.size;) {
        const char *name = request->headers.data + at, *value = name + strlen(name) + 1;
        if (MHD_add_response_header(request->reply, name, value) != MHD_YES)
            log_warning("http server: header %s of a reply was left out, it is not a valid one", name);
        at += strlen(name) + 1 + strlen(value) + 1;
    }
}

const char *request_method(const struct request *request)
{
    return request->method;
}

const char *request_path(const struct request *request)
{
    return request->path;
}

const char *request_raw_path(const struct request *request)
{
    return request->raw_path;
}

static const char *find_value(const struct request *request, char kind, const char *name)
{
    for (size_t at = 0; at < request->values.size;) {
        const char *found = request->values.data + at + 1, *value = found + strlen(found) + 1;
        if (request->values.data[at] == kind && (kind == 'h' ? strcasecmp(found, name) : strcmp(found, name)) == 0)
            return value;
        at += 1 + strlen(found) + 1 + strlen(value) + 1;
    }
    return NULL;
}

const char *request_header(const struct request *request, const char *name)
{
    return find_value(request, 'h', name);
}

const char *request_query(const struct request *request, const char *name)
{
    return find_value(request, 'q', name);
}

static void each_value(const struct request *request, char kind, request_pair *each, void *context)
{
    for (size_t at = 0; at < request->values.size;) {
        const char *name = request->values.data + at + 1, *value = name + strlen(name) + 1;
        if (request->values.data[at] == kind)
            each(context, name, value);
        at += 1 + strlen(name) + 1 + strlen(value) + 1;
    }
}

void request_each_header(const struct request *request, request_pair *each, void *context)
{
    each_value(request, 'h', each, context);
}

void request_each_query(const struct request *request, request_pair *each, void *context)
{
    each_value(request, 'q', each, context);
}

struct slice request_body(const struct request *request)
{
    return buf_slice(&request->body);
}

unsigned request_peer_uid(const struct request *request)
{
    return request->peer ? request->peer->uid : NO_UID;
}

void request_set_user(struct request *request, const char *name)
{
    free(request->user);
    request->user = mem_text(name);
}

const char *request_user(const struct request *request)
{
    return request->user;
}

bool request_is_gone(const struct request *request)
{
    if (!request->connection)
        return true;
    char byte; /* libmicrohttpd does not look at a suspended connection, so we do */
    ssize_t size = recv(request->peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
}

void request_reply_header(struct request *request, const char *name, const char *value)
{
    buf_add(&request->headers, name, strlen(name) + 1);
    buf_add(&request->headers, value, strlen(value) + 1);
}

/* The handler lets go of it. */
static void let_go(struct request *request)
{
    request->is_with_handler = false;
    if (!request->connection) {
        request_free(request);
        return;
    }
    request->peer->is_with_handler = false;
    request->peer->since_ns = clock_mono_ns();
    if (request->is_suspended) {
        request->is_suspended = false;
        MHD_resume_connection(request->connection);
        server_wake(request->server);
    }
}

void request_reply(struct request *request, int status, const char *content_type, struct slice body)
{
    if (request->connection)
        request_answer(request, status, content_type, body);
    let_go(request);
}

void request_cut(struct request *request)
{
    request->is_cut = true;
    let_go(request);
}
