/* drain.c - the yardstick of an HTTP lane: a bare loop over curl's multi interface
 *
 *     drain URL COUNT [AT_ONCE]      COUNT requests (PUT URL/N, a JSON body), AT_ONCE (16) under way, kept connections
 *
 * No queue, no disk, no verdicts: what is lost is lost.  Prints requests a second and those that were not answered 2xx.
 */
#include <curl/curl.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT_ONCE_MOST 256
#define BODY "{\"id\":\"%06d\",\"controller\":\"CTRL-%04d\",\"text\":\"%0200d\"}"

struct slot {
    CURL *easy;
    char url[300], body[400];
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t forget(char *data, size_t one, size_t size, void *context)
{
    (void)data, (void)context;
    return one * size;
}

static void begin(CURLM *multi, struct slot *slot, const char *base, int number, struct curl_slist *headers)
{
    snprintf(slot->url, sizeof slot->url, "%s/%d", base, number);
    snprintf(slot->body, sizeof slot->body, BODY, number, number % 1009, 0);
    curl_easy_setopt(slot->easy, CURLOPT_URL, slot->url);
    curl_easy_setopt(slot->easy, CURLOPT_CUSTOMREQUEST, "PUT");
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->body);
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(slot->body));
    curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, forget);
    curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
    curl_multi_add_handle(multi, slot->easy);
}

/* How many ended; each is begun again while there are requests left. */
static int reap(CURLM *multi, const char *base, int *next, int count, int *bad, struct curl_slist *headers)
{
    int left, ended = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        struct slot *slot;
        long status = 0;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        *bad += message->data.result != CURLE_OK || status / 100 != 2;
        curl_multi_remove_handle(multi, slot->easy);
        ended++;
        if (*next < count)
            begin(multi, slot, base, (*next)++, headers);
    }
    return ended;
}

int main(int argc, char **argv)
{
    static struct slot slots[AT_ONCE_MOST];
    if (argc < 3)
        return 64;
    int count = atoi(argv[2]), at_once = argc > 3 ? atoi(argv[3]) : 16, next = 0, done = 0, bad = 0, running;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    double began_s = now_s();
    for (int i = 0; i < at_once && i < AT_ONCE_MOST && next < count; i++) {
        slots[i].easy = curl_easy_init();
        begin(multi, &slots[i], argv[1], next++, headers);
    }
    while (done < count) {
        curl_multi_perform(multi, &running);
        done += reap(multi, argv[1], &next, count, &bad, headers);
        if (done < count)
            curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
    printf("%.0f %d\n", count / (now_s() - began_s), bad);
    return 0;
}
