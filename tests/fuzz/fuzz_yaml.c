/* fuzz_yaml.c - headgate.yaml and flow.yaml from anybody
 *
 * The first byte says which of the two the rest is.  Whatever it is, it is taken or refused with a sentence that says
 * where.  (That no sentence holds a secret is for the unit tests: a fuzzer learns the secret from whoever looks for it,
 * and writes it where none belongs.) */
#include "fuzz.h"

#include "core/base/log.h"
#include "core/flow/manifest.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct config *config; /* against which manifests are checked */

static struct config *load(const char *text, size_t size, struct err *err)
{
    char path[64];
    int fd = memfd_create("headgate.yaml", MFD_CLOEXEC);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config *loaded = config_load_with(path, adapters, false, err);
    close(fd);
    return loaded;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char text[] = "environment: test\ndata: data\nconnections:\n"
                               "  broker: {adapter: amqp, url: \"amqp://127.0.0.1/\"}\n"
                               "  alerts: {adapter: opsgenie, key: k}\n"
                               "  mail: {adapter: smtp, url: \"smtp://127.0.0.1:25\", from: a@example.com}\n";
    struct err err = ERR_INIT;
    (void)argc, (void)argv;
    config = load(text, sizeof text - 1, &err);
    FUZZ_EXPECT(config, "%s\n", err.text);
    return 0;
}

static void check_refusal(const struct err *err, const char *file)
{
    FUZZ_EXPECT(strstr(err->text, file), "it was refused without a word about where: %s\n", err->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    if (size < 1)
        return 0;
    const char *text = (const char *)data + 1;
    if (data[0] == 'c') {
        struct config *loaded = load(text, size - 1, &err);
        if (!loaded)
            check_refusal(&err, "/proc/self/fd/");
        config_free(loaded);
        return 0;
    }
    struct manifest *manifest = manifest_parse("flow.yaml", (struct slice){text, size - 1}, config, &err);
    if (!manifest)
        check_refusal(&err, "flow.yaml");
    else
        manifest_free(manifest);
    return 0;
}
