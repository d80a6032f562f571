/* sandbox_mail.c - what arrived, in order, and what was wrong with it
 *
 * Everything is counted for ever; what takes room is bounded: the last MAILS_KEPT mails (or
 * BYTES_KEPT of them) with their whole source, the last VIOLATIONS_KEPT violations, the
 * Message-IDs of the last IDS_KEPT to 2 * IDS_KEPT mails.  Message-IDs live in two generations: a
 * full young one becomes the old one, and what was old is forgotten. */
#include "adapters/smtp/sandbox.h"

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/map.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define MAILS_KEPT 20000
#define BYTES_KEPT ((size_t)256 << 20)
#define VIOLATIONS_KEPT 1000
#define IDS_KEPT 500000
#define ADDRESSES_KEPT 500000
#define SUBJECT_MAX 2000

struct kept {
    uint64_t id, session;
    int64_t time_ms;
    char *from;
    char *to[SANDBOX_RECIPIENTS_MAX];
    size_t to_count;
    char *message_id; /* "" if there is none */
    char *subject;    /* decoded */
    uint64_t copy;    /* the n-th mail with this Message-ID; 1: the first */
    char *source;
    size_t size;
    char hash[HASH_TEXT_MAX]; /* of the source: equal bytes, equal hash */
};

struct violation {
    uint64_t session;
    uint64_t mail; /* 0: it is not about a mail that was kept */
    int64_t time_ms;
    char *text;
};

struct recipient {
    uint64_t mails, repeats;
};

struct sandbox_mails {
    struct kept *mails[MAILS_KEPT]; /* the mail `id` is in slot id % MAILS_KEPT */
    uint64_t first, next;           /* ids: first kept, next to come */
    size_t bytes;                   /* of all kept sources */
    uint64_t count, recipients, repeats;
    struct map young_ids, old_ids; /* Message-ID to how often it came */
    struct map addresses;          /* lower case, to struct recipient */
    struct violation violations[VIOLATIONS_KEPT];
    uint64_t violation_count;
    uint64_t checking; /* id of the mail that is being checked */
    uint64_t checking_session;
};

struct sandbox_mails *sandbox_mail_new(void)
{
    struct sandbox_mails *mails = mem_zero(sizeof *mails);
    mails->first = mails->next = 1;
    return mails;
}

static void free_kept(struct kept *kept)
{
    free(kept->from);
    for (size_t i = 0; i < kept->to_count; i++)
        free(kept->to[i]);
    free(kept->message_id);
    free(kept->subject);
    free(kept->source);
    free(kept);
}

static void forget_first(struct sandbox_mails *mails)
{
    struct kept **slot = &mails->mails[mails->first++ % MAILS_KEPT];
    mails->bytes -= (*slot)->size;
    free_kept(*slot);
    *slot = NULL;
}

static void free_recipient(void *context, struct slice key, void *value)
{
    (void)context;
    (void)key;
    free(value);
}

void sandbox_mail_reset(struct sandbox_mails *mails)
{
    while (mails->first < mails->next)
        forget_first(mails);
    for (size_t i = 0; i < VIOLATIONS_KEPT; i++)
        free(mails->violations[i].text);
    map_each(&mails->addresses, free_recipient, NULL);
    map_clear(&mails->addresses);
    map_clear(&mails->young_ids);
    map_clear(&mails->old_ids);
    uint64_t next = mails->next;
    memset(mails, 0, sizeof *mails); /* too large for an assignment by way of the stack */
    mails->first = mails->next = next;
}

void sandbox_mail_free(struct sandbox_mails *mails)
{
    if (mails)
        sandbox_mail_reset(mails);
    free(mails);
}

/* ---- counting ---------------------------------------------------------------------------------- */

/* How often this Message-ID has come, this time included. */
static uint64_t count_id(struct sandbox_mails *mails, const char *message_id)
{
    struct slice key = slice_of(message_id);
    if (key.size == 0)
        return 1;
    uintptr_t count = (uintptr_t)map_get(&mails->young_ids, key);
    if (!count)
        count = (uintptr_t)map_get(&mails->old_ids, key);
    if (mails->young_ids.count >= IDS_KEPT) {
        map_clear(&mails->old_ids);
        mails->old_ids = mails->young_ids;
        mails->young_ids = (struct map)MAP_INIT;
    }
    map_put(&mails->young_ids, key, (void *)(count + 1));
    return count + 1;
}

static void count_recipient(struct sandbox_mails *mails, const char *address, bool is_repeat)
{
    char *lower = mem_text(address);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    struct recipient *recipient = map_get(&mails->addresses, slice_of(lower));
    if (!recipient && mails->addresses.count < ADDRESSES_KEPT) {
        recipient = mem_zero(sizeof *recipient);
        map_put(&mails->addresses, slice_of(lower), recipient);
    }
    if (recipient) {
        recipient->mails++;
        recipient->repeats += is_repeat;
    }
    mails->recipients++;
    free(lower);
}

static void add_violation(struct sandbox_mails *mails, uint64_t session, uint64_t mail, const char *text)
{
    struct violation *violation = &mails->violations[mails->violation_count++ % VIOLATIONS_KEPT];
    free(violation->text);
    *violation = (struct violation){session, mail, clock_now_ms(), mem_text(text)};
}

void sandbox_mail_flag(struct sandbox_mails *mails, uint64_t session, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add_violation(mails, session, 0, text);
}

static void flag_mail(void *context, const char *violation)
{
    struct sandbox_mails *mails = context;
    add_violation(mails, mails->checking_session, mails->checking, violation);
}

/* ---- keeping ------------------------------------------------------------------------------------ */

static char *take_header(struct slice source, const char *name, bool is_encoded)
{
    struct buf value = BUF_INIT(SUBJECT_MAX), text = BUF_INIT(SUBJECT_MAX);
    sandbox_check_header(source, name, &value);
    if (is_encoded)
        sandbox_check_decode(buf_slice(&value), &text);
    char *taken = is_encoded ? buf_take(&text) : buf_take(&value);
    buf_clear(&value);
    buf_clear(&text);
    return taken;
}

void sandbox_mail_keep(struct sandbox_mails *mails, const struct sandbox_envelope *envelope, struct slice source)
{
    struct kept *kept = mem_zero(sizeof *kept);
    kept->id = mails->next;
    kept->session = envelope->session;
    kept->time_ms = clock_now_ms();
    kept->from = mem_text(envelope->from);
    kept->message_id = take_header(source, "Message-ID", false);
    kept->subject = take_header(source, "Subject", true);
    kept->copy = count_id(mails, kept->message_id);
    kept->source = mem_copy(source);
    kept->size = source.size;
    unsigned char digest[HASH_SIZE];
    hash_parts(&source, 1, digest);
    hash_hex(digest, HASH_SIZE, kept->hash);
    for (; kept->to_count < envelope->to_count; kept->to_count++) {
        kept->to[kept->to_count] = mem_text(envelope->to[kept->to_count]);
        count_recipient(mails, envelope->to[kept->to_count], kept->copy > 1);
    }
    mails->count++;
    mails->repeats += kept->copy > 1;

    while (mails->next - mails->first >= MAILS_KEPT || (mails->bytes > BYTES_KEPT && mails->first < mails->next))
        forget_first(mails);
    mails->mails[mails->next++ % MAILS_KEPT] = kept;
    mails->bytes += kept->size;
    mails->checking = kept->id;
    mails->checking_session = kept->session;
    sandbox_check_mail(source, flag_mail, mails);
}

/* ---- inspection --------------------------------------------------------------------------------- */

static void add_kept(const struct kept *kept, struct buf *out)
{
    char time[CLOCK_TEXT_MAX];
    buf_addf(out, "{\"id\":%" PRIu64 ",\"session\":%" PRIu64 ",\"time\":\"%s\",\"from\":", kept->id, kept->session,
             clock_text(kept->time_ms, time));
    buf_add_json(out, slice_of(kept->from));
    buf_add_text(out, ",\"to\":[");
    for (size_t i = 0; i < kept->to_count; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_json(out, slice_of(kept->to[i]));
    }
    buf_add_text(out, "],\"message_id\":");
    buf_add_json(out, slice_of(kept->message_id));
    buf_add_text(out, ",\"subject\":");
    buf_add_json(out, slice_of(kept->subject));
    buf_addf(out, ",\"copy\":%" PRIu64 ",\"size\":%zu,\"hash\":\"%s\"}", kept->copy, kept->size, kept->hash);
}

static bool is_to(const struct kept *kept, const char *to)
{
    for (size_t i = 0; to && i < kept->to_count; i++)
        if (strcasecmp(kept->to[i], to) == 0)
            return true;
    return !to;
}

bool sandbox_mail_list(const struct sandbox_mails *mails, const char *to, uint64_t after, size_t limit, struct buf *out)
{
    uint64_t start = mails->next, first = after >= mails->first ? after + 1 : mails->first;
    size_t found = 0;
    while (start > first && found < limit)
        found += is_to(mails->mails[--start % MAILS_KEPT], to);
    buf_add_char(out, '[');
    bool is_first = true;
    for (uint64_t id = start; id < mails->next; id++) {
        const struct kept *kept = mails->mails[id % MAILS_KEPT];
        if (!is_to(kept, to))
            continue;
        buf_add_text(out, is_first ? "" : ",\n");
        add_kept(kept, out);
        is_first = false;
    }
    return buf_add_text(out, "]\n") && !out->is_over;
}

bool sandbox_mail_source(const struct sandbox_mails *mails, uint64_t id, struct slice *source)
{
    if (id < mails->first || id >= mails->next)
        return false;
    const struct kept *kept = mails->mails[id % MAILS_KEPT];
    *source = (struct slice){kept->source, kept->size};
    return true;
}

bool sandbox_mail_violations(const struct sandbox_mails *mails, struct buf *out)
{
    char time[CLOCK_TEXT_MAX];
    uint64_t count = mails->violation_count;
    buf_add_char(out, '[');
    for (uint64_t i = count > VIOLATIONS_KEPT ? count - VIOLATIONS_KEPT : 0; i < count; i++) {
        const struct violation *violation = &mails->violations[i % VIOLATIONS_KEPT];
        buf_addf(out, "{\"time\":\"%s\",\"session\":%" PRIu64 ",\"mail\":%" PRIu64 ",\"what\":",
                 clock_text(violation->time_ms, time), violation->session, violation->mail);
        buf_add_json(out, slice_of(violation->text));
        buf_add_text(out, i + 1 < count ? "},\n" : "}");
    }
    return buf_add_text(out, "]\n") && !out->is_over;
}

static void add_recipient(void *context, struct slice key, void *value)
{
    struct buf *out = context;
    const struct recipient *recipient = value;
    buf_add_text(out, out->data[out->size - 1] == '{' ? "" : ",\n");
    buf_add_json(out, key);
    buf_addf(out, ":{\"mails\":%" PRIu64 ",\"repeats\":%" PRIu64 "}", recipient->mails, recipient->repeats);
}

bool sandbox_mail_recipients(const struct sandbox_mails *mails, struct buf *out)
{
    buf_add_char(out, '{');
    map_each(&mails->addresses, add_recipient, out);
    return buf_add_text(out, "}\n") && !out->is_over;
}

bool sandbox_mail_summary(const struct sandbox_mails *mails, struct buf *out)
{
    return buf_addf(out,
                    "\"count\":%" PRIu64 ",\"kept\":%" PRIu64 ",\"recipients\":%" PRIu64 ",\"addresses\":%zu,"
                    "\"repeats\":%" PRIu64 ",\"violations\":%" PRIu64,
                    mails->count, mails->next - mails->first, mails->recipients, mails->addresses.count, mails->repeats,
                    mails->violation_count);
}
