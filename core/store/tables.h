/* tables.h - the form of each table's rows, for whoever sweeps, measures or verifies them */
#ifndef HEADGATE_STORE_TABLES_H
#define HEADGATE_STORE_TABLES_H

#include "core/store/store.h"

enum value_form {
    VALUE_BYTES,  /* anything, also nothing */
    VALUE_RECORD, /* see core/base/record.h */
    VALUE_LIST,   /* items, see store_list_next */
    VALUE_NUMBER, /* int64, little endian */
};

struct table_form {
    const char *name;      /* in the file */
    const char *key;       /* its parts: t a text with its zero, n a number of 8 bytes, b bytes up to the end */
    enum value_form value; /* behind the expiry, where there is one */
    bool expires;          /* a value begins with its expiry */
    unsigned share;        /* percent of the store's limit that it may take: above, the oldest go before they expire;
                            * 0: only the limit itself bounds it */
};

extern const struct table_form table_forms[TABLE_COUNT];

#endif
