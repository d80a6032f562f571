/* http_text.c - the parts of http.h that only look at texts: headers, escapes, base URLs */
#include "core/net/address.h"
#include "core/net/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
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

/* An address in place of a name, as libcurl writes hosts; false: it is a name. */
static bool parse_address(const char *host, struct sockaddr_storage *address)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    char text[ADDRESS_TEXT_MAX];
    if (inet_pton(AF_INET, host, &four.sin_addr) == 1) {
        memcpy(address, &four, sizeof four);
        return true;
    }
    snprintf(text, sizeof text, "%s", host[0] == '[' ? host + 1 : host);
    text[strcspn(text, "]")] = '\0';
    bool is_six = inet_pton(AF_INET6, text, &six.sin6_addr) == 1;
    if (is_six)
        memcpy(address, &six, sizeof six);
    return is_six;
}

static bool host_is_within(const char *host, enum http_reach reach, struct err *err)
{
    struct sockaddr_storage address;
    bool is_address = parse_address(host, &address);
    bool is_public = is_address ? address_is_public((struct sockaddr *)&address) : strcasecmp(host, "localhost") != 0;
    if (reach == HTTP_PUBLIC && !is_public)
        return err_set(err, "%s is no address of the public internet; such ones need to be allowed for a connection",
                       host);
    if (reach == HTTP_PRIVATE && is_address && is_public)
        return err_set(err, "plain http:// is only for addresses that are not public, use https://");
    return true;
}

static bool check_scheme(const char *scheme, const char *host, enum http_reach reach, struct err *err)
{
    bool is_plain = strcmp(scheme, "http") == 0;
    if (!is_plain && strcmp(scheme, "https") != 0)
        return err_set(err, "it must begin with https://");
    if (is_plain && (reach == HTTP_PUBLIC || (reach == HTTP_ANYWHERE && !is_loopback(host))))
        return err_set(err, reach == HTTP_PUBLIC
                                ? "plain http:// is only for addresses that are not public, use https://"
                                : "plain http:// is only for this machine, use https://");
    return reach == HTTP_ANYWHERE || host_is_within(host, reach, err);
}

static bool check_parts(CURLU *parts, enum http_reach reach, struct err *err)
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
    ok = ok ? check_scheme(scheme, host, reach, err) : err_set(err, "it needs a scheme and a host");
    curl_free(scheme);
    curl_free(host);
    return ok;
}

bool http_check_reach(const char *url, enum http_reach reach, struct err *err)
{
    CURLU *parts = curl_url();
    if (!parts)
        abort();
    CURLUcode status = curl_url_set(parts, CURLUPART_URL, url, 0);
    bool ok = status == CURLUE_OK ? check_parts(parts, reach, err) : err_set(err, "%s", curl_url_strerror(status));
    curl_url_cleanup(parts);
    return ok || err_wrap(err, "not a URL that can be used");
}

bool http_check_base(const char *url, struct err *err)
{
    return http_check_reach(url, HTTP_ANYWHERE, err);
}
