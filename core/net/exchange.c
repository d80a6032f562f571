/* exchange.c - see exchange.h */
#include "core/net/exchange.h"

#include <stdlib.h>

#define REPLY_LIMIT_DEFAULT (1 << 20)
#define HEADERS_LIMIT (64 * 1024) /* what an answer's headers may be; the rest is not looked at */

/* ---- the answer as it comes ------------------------------------------------------------------ */

static size_t on_header(char *data, size_t one, size_t size, void *context)
{
    struct exchange *exchange = context;
    struct slice line = {data, one * size};
    if (line.size >= 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        buf_reset(&exchange->headers); /* the one before was a "100 Continue" */
        return line.size;
    }
    while (line.size && (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == '\r'))
        line.size--;
    const char *colon = line.size ? memchr(line.data, ':', line.size) : NULL;
    if (!colon || exchange->headers.size + line.size + 1 > HEADERS_LIMIT)
        return one * size;
    for (const char *c = line.data; c < colon; c++)
        buf_add_char(&exchange->headers, *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c);
    buf_add(&exchange->headers, colon, line.size - (size_t)(colon - line.data));
    buf_add_char(&exchange->headers, '\n');
    return one * size;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct exchange *exchange = context;
    if (buf_add(&exchange->reply, data, one * size))
        return one * size;
    exchange->is_too_large = true;
    return 0; /* ends the transfer */
}

/* Names are looked up by now: this is the one place that sees where it really goes. */
static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct exchange *exchange = context;
    (void)purpose;
    bool is_judged = exchange->reach != HTTP_ANYWHERE && address->family != AF_UNIX;
    if (is_judged && address_is_public(&address->addr) != (exchange->reach == HTTP_PUBLIC)) {
        address_text(&address->addr, exchange->out_of_reach);
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static const char *words_for(const struct exchange *exchange, CURLcode code, bool sent, struct buf *words)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        if (sent)
            buf_addf(words, "no answer within %.3g s", (double)exchange->timeout_ms / 1000);
        else
            buf_addf(words, "no connection within the time: %s", exchange->reason);
        break;
    case CURLE_GOT_NOTHING: buf_add_text(words, "the connection was closed without an answer"); break;
    case CURLE_PARTIAL_FILE: buf_add_text(words, "the connection broke inside the answer"); break;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: buf_addf(words, "the connection broke before the answer: %s", exchange->reason); break;
    case CURLE_PEER_FAILED_VERIFICATION:
        buf_addf(words, "the certificate of the far side is not trusted: %s", exchange->reason);
        break;
    default:
        if (code == CURLE_COULDNT_CONNECT && exchange->out_of_reach[0])
            buf_addf(words, "its address is %s, which is %s; this connection may not reach it", exchange->out_of_reach,
                     exchange->reach == HTTP_PUBLIC ? "no public one"
                                                    : "a public one, and plain http:// is for others");
        else if (exchange->is_too_large)
            buf_addf(words, "the answer is larger than %zu bytes", exchange->reply.limit);
        else
            buf_add_text(words, exchange->reason[0] ? exchange->reason : curl_easy_strerror(code));
    }
    return words->data;
}

/* Only what failed before the request's first byte is surely not sent. */
static bool was_sent(CURL *easy, CURLcode code)
{
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_PEER_FAILED_VERIFICATION: return false;
    default: break;
    }
    curl_off_t request_began_us = 0;
    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &request_began_us);
    return request_began_us > 0;
}

void exchange_call_back(struct exchange *exchange, CURLcode code)
{
    struct buf words = BUF_INIT(CURL_ERROR_SIZE + 200);
    struct http_reply reply = {.headers = &exchange->headers};
    if (exchange->refusal) {
        reply.failure = exchange->refusal;
    } else if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
        reply.status = (int)status;
        reply.sent = true;
        reply.body = buf_slice(&exchange->reply);
    } else {
        reply.sent = was_sent(exchange->easy, code);
        reply.failure = words_for(exchange, code, reply.sent, &words);
    }
    exchange->done(&reply, exchange->context);
    buf_clear(&words);
}

/* A reused connection may turn out to be dead. */
bool exchange_repeats(struct exchange *exchange, CURLcode code)
{
    long new_connections = 1;
    curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &new_connections);
    if ((code != CURLE_SEND_ERROR && code != CURLE_RECV_ERROR && code != CURLE_GOT_NOTHING) || new_connections > 0
        || exchange->was_repeated || !exchange->is_idempotent)
        return false;
    exchange->was_repeated = true;
    buf_reset(&exchange->headers);
    buf_reset(&exchange->reply);
    exchange->reason[0] = '\0';
    curl_easy_setopt(exchange->easy, CURLOPT_FRESH_CONNECT, 1L);
    return true;
}

/* ---- the request ------------------------------------------------------------------------------- */

static void set_request(struct exchange *exchange)
{
    CURL *easy = exchange->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_URL, exchange->url);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, exchange->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->request_headers);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->reason);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
    if (exchange->body_size || strcmp(exchange->method, "POST") == 0 || strcmp(exchange->method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body_size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->body);
    }
    if (strcmp(exchange->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, exchange->method);
    if (!exchange->is_idempotent)
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

/* A line end inside of a header would begin a second one. */
static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static char *copy_headers(struct exchange *exchange, const char *const *headers)
{
    /* libcurl would wait a second for a "100 Continue" before it sends a large body. */
    exchange->request_headers = curl_slist_append(NULL, "Expect:");
    for (; headers && *headers; headers++) {
        if (!is_one_line(*headers) || !strchr(*headers, ':'))
            return mem_text("a header of the request is not one line \"Name: value\""); /* may hold a key: not shown */
        exchange->request_headers = curl_slist_append(exchange->request_headers, *headers);
    }
    return NULL;
}

struct exchange *exchange_new(const struct http_request *request,
                              void (*done)(const struct http_reply *reply, void *context), void *context)
{
    struct exchange *exchange = mem_zero(sizeof *exchange);
    *exchange = (struct exchange){.method = mem_text(request->method),
                                  .url = mem_text(request->url),
                                  .body = mem_copy(request->body),
                                  .body_size = request->body.size,
                                  .timeout_ms = request->timeout_ms ? request->timeout_ms : 30000,
                                  .is_idempotent = request->is_idempotent,
                                  .headers = BUF_INIT(HEADERS_LIMIT),
                                  .reply = BUF_INIT(request->reply_limit ? request->reply_limit : REPLY_LIMIT_DEFAULT),
                                  .done = done,
                                  .context = context};
    exchange->easy = curl_easy_init();
    if (!exchange->easy)
        abort();
    exchange->refusal = copy_headers(exchange, request->headers);
    set_request(exchange);
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    curl_easy_cleanup(exchange->easy);
    curl_slist_free_all(exchange->request_headers);
    free(exchange->method);
    free(exchange->url);
    free(exchange->body);
    free(exchange->refusal);
    buf_clear(&exchange->headers);
    buf_clear(&exchange->reply);
    free(exchange);
}
