/* limits.h - how much is too much: what blows a fuse
 *
 *      flow.yaml        limits: {effects: 1000/h, per_recipient: 4/d, mail: 500/h, failures_in_a_row: 10, error_ratio:
 * 50%} headgate.yaml    fuse: {effects: 5000/h, per_recipient: 10/d, failures_in_a_row: 20}     of a connection
 *
 * "4/d" is not "1 each six hours": it is at most four within any 24 hours. */
#ifndef HEADGATE_CONFIG_LIMITS_H
#define HEADGATE_CONFIG_LIMITS_H

#include "core/base/err.h"
#include "core/base/option.h"
#include "core/base/settings.h"
#include "core/config/yaml.h"

/* At most so many within a time. */
struct quota {
    int64_t most;      /* 0: as many as they like */
    int64_t window_ms; /* a second, a minute, an hour or a day */
    bool is_built_in;  /* nobody wrote it */
};

struct limits {
    struct quota effects;       /* asked for in all */
    struct quota per_recipient; /* that reach one person */
    int64_t failures_in_a_row;  /* 0: no fuse */
    int64_t error_percent;      /* of the runs of the last ten minutes; 0: no fuse */
};

/* What a connection may say below `fuse:` in headgate.yaml. */
extern const struct option limits_fuse_options[];

/* "500/h", or "none"; false if it is neither. */
bool quota_parse(const char *text, struct quota *quota);
#define QUOTA_TEXT_MAX 32
const char *quota_text(const struct quota *quota, char *text); /* "500/h"; returns `text` of QUOTA_TEXT_MAX bytes */
/* The quota that the value `at` says; false with the place of the mistake. */
bool quota_read(const struct yaml *at, const char *name, struct quota *quota, struct err *err);

/* Effects, per_recipient and failures_in_a_row of `settings`, which were filled from the map `at` (NULL: nothing was
 * said) and have options of these names. */
bool limits_take(const struct yaml *at, const struct settings *settings, struct limits *limits, struct err *err);
/* The map below `fuse:`; NULL: none. */
bool limits_read_fuse(const struct yaml *at, struct limits *limits, struct err *err);

#endif
