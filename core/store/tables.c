/* tables.c - what each table is: its name in the file, the form of its rows, how it is bounded
 *
 * The file knows tables by name: their order here may change from version to version, a name may not. */
#include "core/store/internal.h"

const struct table_form table_forms[TABLE_COUNT] = {
    [TABLE_META] = {"meta", "b", VALUE_BYTES},
    [TABLE_RELEASES] = {"releases", "ttb", VALUE_RECORD},
    [TABLE_GATES] = {"gates", "tt", VALUE_RECORD},
    [TABLE_AUDIT] = {"audit", "n", VALUE_RECORD},
    [TABLE_SOURCES] = {"sources", "tt", VALUE_BYTES},
    [TABLE_INBOX] = {"inbox", "tn", VALUE_RECORD},
    [TABLE_SEEN] = {"seen", "tb", VALUE_BYTES, .expires = true},
    [TABLE_OUTBOX] = {"outbox", "tn", VALUE_RECORD},
    [TABLE_ATTEMPTS] = {"attempts", "tn", VALUE_RECORD},
    [TABLE_RECEIPTS] = {"receipts", "tn", VALUE_RECORD, .expires = true, .share = 20},
    [TABLE_SENT] = {"sent", "b", VALUE_BYTES, .expires = true},
    [TABLE_HELD] = {"held", "n", VALUE_RECORD},
    [TABLE_TRAILS] = {"trails", "tt", VALUE_LIST, .expires = true, .share = 20},
    [TABLE_LEDGER] = {"ledger", "ttb", VALUE_RECORD},
    [TABLE_CAMPAIGNS] = {"campaigns", "tb", VALUE_RECORD},
    [TABLE_LISTS] = {"lists", "tn", VALUE_RECORD},
    [TABLE_RECIPIENTS] = {"recipients", "tnn", VALUE_RECORD},
    [TABLE_PARKED] = {"parked", "ttn", VALUE_RECORD},
    [TABLE_SUPPRESSED] = {"suppressed", "tb", VALUE_RECORD},
    [TABLE_FUSES] = {"fuses", "tttb", VALUE_BYTES, .expires = true},
    [TABLE_COUNTERS] = {"counters", "b", VALUE_NUMBER},
    [TABLE_STATE] = {"state", "tb", VALUE_BYTES, .expires = true},
    [TABLE_TIMERS] = {"timers", "tnb", VALUE_RECORD},
    [TABLE_TIMER_NAMES] = {"timer_names", "tb", VALUE_BYTES},
    [TABLE_PACES] = {"paces", "b", VALUE_RECORD},
    [TABLE_SAMPLES] = {"samples", "n", VALUE_RECORD, .expires = true},
};
