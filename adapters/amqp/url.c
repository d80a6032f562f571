/* url.c - amqp://user:password@host:port/vhost
 *
 * As https://www.rabbitmq.com/uri-spec.html has it, with one exception: a lone "/" at the end is the virtual
 * host "/", as nearly everybody who writes it means (the specification reads it as the host with the empty
 * name, which can therefore not be named here).  Every byte may be percent-encoded in user, password and
 * vhost.  Query strings are refused: what other clients take from them has options of its own here. */
#include "adapters/amqp/rabbit.h"

#include <ctype.h>

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* A zero byte could not be kept in a text of C, and has no place in any of these. */
static bool decode(struct slice text, const char *what, char **out, struct err *err)
{
    char *copy = mem_new(text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = -1, low = -1;
            if (i + 2 < text.size) {
                high = hex(text.data[i + 1]);
                low = hex(text.data[i + 2]);
            }
            c = (char)(high * 16 + low);
            i += 2;
            if (high < 0 || low < 0 || c == 0) {
                free(copy);
                return err_set(err, "the %s in the url has a %% that is not followed by two hex digits (%%25 is a %%)",
                               what);
            }
        }
        copy[size++] = c;
    }
    copy[size] = 0;
    free(*out);
    *out = copy;
    return true;
}

/* What stands before the first `c` of `text`, which goes on behind it; all of it if there is no `c`. */
static bool split(struct slice *text, char c, struct slice *head)
{
    const char *at = text->size ? memchr(text->data, c, text->size) : NULL;
    *head = at ? (struct slice){text->data, (size_t)(at - text->data)} : *text;
    *text = at ? (struct slice){at + 1, text->size - head->size - 1} : SLICE_NONE;
    return at != NULL;
}

static bool parse_port(struct slice text, int *port, struct err *err)
{
    int number = 0;
    for (size_t i = 0; i < text.size && number <= 65535; i++)
        number = isdigit((unsigned char)text.data[i]) ? number * 10 + text.data[i] - '0' : 65536;
    if (text.size == 0 || number < 1 || number > 65535)
        return err_set(err, "the port in the url is not a number from 1 to 65535");
    *port = number;
    return true;
}

static bool parse_host(struct slice text, struct rabbit_address *address, struct err *err)
{
    struct slice host;
    bool has_port;
    if (text.size && text.data[0] == '[') { /* an IPv6 address */
        text = (struct slice){text.data + 1, text.size - 1};
        if (!split(&text, ']', &host) || (text.size && text.data[0] != ':'))
            return err_set(err, "the host in the url has a [ without its ]");
        has_port = text.size > 0;
        if (has_port)
            text = (struct slice){text.data + 1, text.size - 1};
    } else {
        has_port = split(&text, ':', &host);
    }
    if (has_port && !parse_port(text, &address->port, err))
        return false;
    if (host.size == 0)
        return err_set(err, "the url names no host");
    return decode(host, "host", &address->host, err);
}

static bool parse_user(struct slice text, struct rabbit_address *address, struct err *err)
{
    struct slice user;
    if (!split(&text, ':', &user))
        return err_set(err, "the url has a user without a password");
    return decode(user, "user", &address->user, err) && decode(text, "password", &address->password, err);
}

bool rabbit_url_parse(const char *url, struct rabbit_address *address, struct err *err)
{
    *address =
        (struct rabbit_address){.user = mem_text("guest"), .password = mem_text("guest"), .vhost = mem_text("/")};
    if (strncasecmp(url, "amqp://", 7) == 0)
        address->port = 5672;
    else if (strncasecmp(url, "amqps://", 8) == 0)
        address->port = 5671;
    else
        return err_set(err, "the url does not begin with amqp:// or amqps://");
    address->is_tls = address->port == 5671;

    struct slice rest = slice_of(strchr(url, '/') + 2), authority;
    if (memchr(rest.data, '?', rest.size) || memchr(rest.data, '#', rest.size))
        return err_set(err,
                       "the url has a query or fragment; heartbeat, prefetch, ca and the like are options beside it "
                       "(a ? or # in a password is %%3F or %%23)");
    split(&rest, '/', &authority);
    if (rest.size && memchr(rest.data, '@', rest.size))
        return err_set(err, "the url has an @ behind its first / (a / in the user or password is %%2F, an @ %%40)");
    if (rest.size && memchr(rest.data, '/', rest.size))
        return err_set(err, "the url has a second / behind the host (a / in the virtual host or password is %%2F)");
    const char *at = authority.size ? memrchr(authority.data, '@', authority.size) : NULL;
    struct slice user = {authority.data, at ? (size_t)(at - authority.data) : 0};
    struct slice host = at ? (struct slice){at + 1, authority.size - user.size - 1} : authority;
    return (!at || parse_user(user, address, err)) && parse_host(host, address, err)
           && (rest.size == 0 || decode(rest, "virtual host", &address->vhost, err));
}

void rabbit_address_clear(struct rabbit_address *address)
{
    if (address->password)
        explicit_bzero(address->password, strlen(address->password));
    free(address->host);
    free(address->user);
    free(address->password);
    free(address->vhost);
    *address = (struct rabbit_address){0};
}
