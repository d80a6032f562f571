/* fuzz.h - what the fuzz targets share
 *
 * One target a file, `fuzz_NAME.c`; its seeds, and every input that once broke something, are in seeds/NAME/.
 * A target may assert more than "it does not crash": FUZZ_EXPECT ends the program, and so is a finding. */
#ifndef HEADGATE_TESTS_FUZZ_FUZZ_H
#define HEADGATE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_EXPECT(what, ...)                                                                                         \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "expected: %s\n", #what);                                                                  \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
