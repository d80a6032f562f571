/* http_text.c - the parts of http.h that only look at texts: headers, escapes, base URLs */
#include "core/net/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

struct slice http_header(const struct http_reply *reply, const char *name)
{
    size_t length = strlen(name);
    struct slice rest = buf_slice(reply->headers);
    while (rest.size) {
        const char *end = memchr(rest.data, '\n', rest.size);
        size_t size = end ? (size_t)(end - rest.data) : rest.size;
        if (size > length && rest.data[length] == ':' && memcmp(rest.data, name, length) == 0) {
            struct slice value = {rest.data + length + 1, size - length - 1};
            while (value.size && (*value.data == ' ' || *value.data == '\t'))
                value.data++, value.size--;
            while (value.size && (value.data[value.size - 1] == ' ' || value.data[value.size - 1] == '\t'))
                value.size--;
            return value;
        }
        size_t step = end ? size + 1 : size;
        rest = (struct slice){rest.data + step, rest.size - step};
    }
    return SLICE_NONE;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
           || (c && strchr("-._~", c)); /* RFC 3986, section 2.3 */
}

bool http_escape(struct buf *out, struct slice text)
{
    bool ok = true;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        ok = is_unreserved(c) ? buf_add_char(out, (char)c) : buf_addf(out, "%%%02X", c);
    }
    return ok && !out->is_over;
}

/* What libcurl will connect to, not what the name server says: a name other than "localhost" is not trusted. */
static bool is_loopback(const char *host)
{
    struct in_addr v4;
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

static bool check_parts(CURLU *parts, struct err *err)
{
    static const struct {
        CURLUPart part;
        const char *name;
    } unwanted[] = {{CURLUPART_USER, "user"},
                    {CURLUPART_PASSWORD, "password"},
                    {CURLUPART_QUERY, "query"},
                    {CURLUPART_FRAGMENT, "fragment"}};
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
        char *found = NULL;
        bool is_there = curl_url_get(parts, unwanted[i].part, &found, 0) == CURLUE_OK;
        curl_free(found);
        if (is_there)
            return err_set(err, "there must be no %s in it", unwanted[i].name);
    }
    char *scheme = NULL, *host = NULL;
    bool ok = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
              && curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    if (!ok)
        err_set(err, "it needs a scheme and a host");
    else if (strcmp(scheme, "http") == 0 && !is_loopback(host))
        ok = err_set(err, "plain http:// is only for this machine, use https://");
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        ok = err_set(err, "it must begin with https://");
    curl_free(scheme);
    curl_free(host);
    return ok;
}

bool http_check_base(const char *url, struct err *err)
{
    CURLU *parts = curl_url();
    if (!parts)
        abort();
    CURLUcode status = curl_url_set(parts, CURLUPART_URL, url, 0);
    bool ok = status == CURLUE_OK ? check_parts(parts, err) : err_set(err, "%s", curl_url_strerror(status));
    curl_url_cleanup(parts);
    return ok || err_wrap(err, "not a URL that can be used");
}
