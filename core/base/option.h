/* option.h - what may be said: one table describes, checks and documents
 *
 * The keys of a connection in headgate.yaml, of its block in a flow's `on:`, and the fields of a
 * verb are all tables of options.  The table is the manual (`headgate adapters`), the check (a key
 * that is not in it is refused with the list of those that are) and the default. */
#ifndef HEADGATE_BASE_OPTION_H
#define HEADGATE_BASE_OPTION_H

#include <stdbool.h>
#include <stdint.h>

enum option_kind {
    OPTION_TEXT,
    OPTION_INTEGER,
    OPTION_BOOLEAN,
    OPTION_DURATION, /* "500ms", "30s", "10m", "2h", "7d"; kept in ms */
    OPTION_SIZE,     /* "64KiB", "1MiB", "2GiB" or plain bytes; kept in bytes */
    OPTION_RATE,     /* "10/s", "500/h", "4/d"; kept as events a day */
    OPTION_RATES,    /* one rate or a list of them: "10/s" or [10/s, 1000/h]; kept as a list of texts */
    OPTION_SECRET,   /* text, or ${env:NAME}, ${file:PATH}, ${credential:NAME}; never printed */
    OPTION_LIST,     /* list of texts */
    OPTION_MAP,      /* table from text to text */
    OPTION_ANY,      /* only for fields of verbs: any JSON value */
};

struct option {
    const char *name; /* as written in YAML or Lua */
    enum option_kind kind;
    bool is_required;
    const char *fallback; /* the default, as it would be written; NULL: none */
    const char *choices;  /* OPTION_TEXT: "a|b|c" and nothing else; NULL: any text */
    int64_t least, most;  /* bounds of numbers, or of a text's bytes; both 0: none */
    const char *help;     /* one sentence for a person */
};

/* A table of options ends with an entry whose name is NULL. */
#define OPTION_END                                                                                                     \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

#endif
