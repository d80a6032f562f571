/* upkeep.h - what is told of the store's upkeep, as JSON; also for the command line, when no daemon runs */
#ifndef HEADGATE_ADMIN_UPKEEP_H
#define HEADGATE_ADMIN_UPKEEP_H

#include "core/engine/verify.h"
#include "core/store/upkeep.h"

#include <jansson.h>

/* {"used_bytes", "free_bytes", "file_bytes", "limit_bytes", "high_bytes", "growth_bytes_per_day", "sampled_ms",
 * "high_at_ms" (0: not in sight), "tables": [{"table", "rows", "bytes"}]} */
json_t *upkeep_sizes(const struct store_sizes *sizes, int64_t limit_bytes);
/* {"rows", "complete", "finding_count", "findings": [text]} */
json_t *upkeep_verified(const struct verified *verified);

#endif
